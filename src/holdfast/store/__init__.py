"""Every line of SQL: schema, queries, and the verbs that the rest of Holdfast speaks to the database with."""
