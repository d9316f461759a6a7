"""A bar in the output of a notebook's cell, which is updated in place and needs no widgets."""

from __future__ import annotations

import sys
from html import escape
from typing import Any

__all__ = ["NotebookBar", "notebook_bar"]


class NotebookBar:
    """A bar with a text beside it.

    Args:
        total: what it counts to; a bar without an end where it is None.

    """

    def __init__(self, total: int | None) -> None:
        self.total = total
        self._handle = _display(self._html(0, ""), display_id=True)

    def update(self, completed: int, text: str) -> None:
        """Show how far it is."""
        self._handle.update(self._html(completed, text))

    def _html(self, completed: int, text: str) -> Any:
        from IPython.display import HTML

        bounds = "" if self.total is None else f' value="{completed}" max="{self.total}"'
        return HTML(f'<progress style="width: 40%"{bounds}></progress> <code>{escape(text)}</code>')


def notebook_bar(total: int | None) -> NotebookBar | None:
    """Return a bar where this process runs the cells of a notebook, else None."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return NotebookBar(total) if hasattr(shell, "kernel") else None


def _display(shown: Any, **options: Any) -> Any:
    from IPython.display import display

    return display(shown, **options)
