"""Operations on a running or stopped system: queue listing and actions, status, reload."""
