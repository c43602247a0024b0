"""The only gateway to scores: the reply cache, budgets, concurrency, and the rule on failures."""
