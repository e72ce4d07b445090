"""Credentials, as far as they can be judged without a database.

An API key is `api_keys`; who guesses them is slowed by `throttle`. A bearer token of an outside identity provider
becomes `Claims`, or `Unauthenticated` with a reason for the audit log:

    token → `compact` (take it apart, strictly) → its issuer's settings (`issuers`) → one key (`jwks`, `key_set`)
          → signature → times, audience (`checks`) → tenant, person, roles (`claims`)

`tokens.TokenVerifier` is that line of steps. Nothing of a token is believed before its signature is checked but which
issuer and which key it names, and those only choose among what the configuration trusts. Who a subject is in a
tenant, and whether it may come in, is the store's business.
"""
