"""Why a session was, or would be, accepted or refused: the restrictions one by one, with their reasons."""
