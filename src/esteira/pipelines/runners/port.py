"""Where steps are executed: here, or on other threads, processes and machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from esteira.pipelines.execution import Done, Task


class Runner(Protocol):
    """Takes tasks and gives them back done. The driver decides, orders, journals; a runner only executes."""

    slots: int  # how many tasks it is worth handing over at once

    def submit(self, task: Task) -> None:
        """Take a task; never more than `slots` at once."""
        ...

    def wait(self) -> Done:
        """Some submitted task that is done; blocks until there is one."""
        ...

    def close(self) -> None:
        """Let go of what executes; tasks still waiting are dropped."""
        ...
