"""Rules broken on purpose, and what the explorer must say. A model that cannot fail proves nothing."""

from formal.scope import CANCEL, CLAIMS, DOUBT, FENCE, HALT, INBOX, SLOW, Scope

STALE = "a fenced writer's append was accepted"
TWICE = "two appends were accepted at one place of the journal"
STUCK = "workers alone cannot go on from here"

CAUGHT: tuple[tuple[str, Scope, str], ...] = (
    # fence, claim, rescue
    ("fence_is_only_seq", FENCE, STALE),
    ("fence_ignores_seq", FENCE, TWICE),
    ("fence_is_read_before", SLOW, STALE),
    ("claim_keeps_epoch", FENCE, STALE),
    ("rescue_changes_nothing", FENCE, STALE),
    ("nobody_is_rescued", FENCE, STUCK),
    ("strays_are_kept", CLAIMS, STUCK),
    # commit sent, reply lost
    ("guess_appended", FENCE, "an acknowledged append is not in the journal"),
    ("resend_on_current_head", FENCE, "an event is in the journal twice"),
    # inbox
    ("signal_counts_only_when_parked", INBOX, "a parked run has signals that were not folded in"),
    ("signal_does_not_wake", INBOX, "a parked run has signals that were not folded in"),
    ("park_ignores_inbox", INBOX, "a parked run has signals that were not folded in"),
    ("finish_ignores_inbox", INBOX, "a succeeded run has signals that were not folded in"),
    ("decisions_are_not_exclusive", INBOX, "a human task was decided twice"),
    # cancellation and halts
    ("cancel_not_checked", CANCEL, "an intent committed after the cancellation"),
    ("cancel_refuses_facts", CANCEL, "a fact was refused: cancelled"),
    ("facts_are_dropped_with_intents", HALT, "a run was let go of without an outcome that its holder knew"),
    ("halt_refuses_facts", HALT, "a fact was refused: halted"),
    ("halt_lock_in_statement", HALT, "an intent committed after the halt was acknowledged"),
    ("halt_is_not_locked_out", HALT, "an intent committed after the halt was acknowledged"),
    ("halt_does_not_wait", HALT, "an intent committed after the halt was acknowledged"),
    ("lift_tells_only_parked", HALT, "a run that no person and no worker can end"),
    # effects
    ("once_is_run_again", DOUBT, "a once effect was performed again and nobody had said that it was not done"),
    ("effect_before_intent", DOUBT, "an effect was performed and its intent is not committed"),
    ("not_done_needs_no_intent", DOUBT, "an effect was performed and its intent is not committed"),
    ("not_done_reopens", DOUBT, "a finished step has another intent"),
)
"""(the rule, where it shows, what is said)"""

HARMLESS: tuple[tuple[str, Scope], ...] = (
    ("guess_lost", FENCE.allowing(2)),
    ("fenced_is_believed", FENCE.allowing(2)),
)
"""Dropping a run for nothing is safe, since its worker releases it as a stray: it costs time or a needless question."""
