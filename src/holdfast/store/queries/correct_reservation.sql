-- Settles by better knowledge what was settled, or is held, at its bound: 'settled', 'under_way', 'absent'.
select holdfast.correct_reservation(%(tenant)s, %(run)s, %(step)s, %(attempt)s, %(usd)s, %(tokens)s, %(requests)s, %(reason)s,
                                    %(by)s)
