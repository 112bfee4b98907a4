"""A service desk: one conversation over graph, documents and recommender, and the people who take over."""
