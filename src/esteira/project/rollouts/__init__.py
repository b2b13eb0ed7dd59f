"""The rollout of a challenger in a project: admitted, moved, judged on what was logged, and reported."""
