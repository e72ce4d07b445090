"""The words of Holdfast and what follows from them: ids, events, state, errors. No I/O, clock or randomness."""
