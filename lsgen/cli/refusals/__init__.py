"""Explanations, in one sentence, of errors that end a run before its first step."""
