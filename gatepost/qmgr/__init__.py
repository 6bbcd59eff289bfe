"""The queue manager: active queue, scheduler (pure), dispatch, retry."""
