"""grpcio: sockets and HTTP/2 in C, our calls in Python, all of them on the one thread of an event loop.

One thread, because the counters of a process are added to without a lock, as in an HTTP worker; only a model
that takes long is asked on another.
"""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from esteira.base.errors import BadInput
from esteira.serving.address import PortInUse
from esteira.serving.rpc import health
from esteira.serving.rpc.calls import Refusal
from esteira.serving.rpc.messages import HEALTH, INFERENCE
from esteira.serving.rpc.service import METHODS, Call

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from esteira.serving.rpc.calls import Calls

    Context = Any  # of a call; grpcio ships no types

MOST_CALLS = 1_024  # at once; a further one is refused with RESOURCE_EXHAUSTED
LINGER_S = 0.2  # that this takes at least, for calls that are already on their way
QUIET_S, MOST_TURNING_S = 0.1, 1.0  # without a call until the server closes; and for who calls on and on
GRACE_S = 10.0  # for calls in flight to be answered
LOOK_S = 0.5  # between two looks of a watcher of the health
_TICK_S = 1.0
_LONGEST = 500  # characters of an error: percent-encoded they must fit into the trailers


@dataclass(frozen=True, slots=True)
class Listening:
    """Where to listen, how, and what to do every second meanwhile."""

    host: str
    port: int
    max_message_bytes: int
    tick: Callable[[], None]
    tls: tuple[bytes, bytes] | None = None  # private key and certificate chain, PEM
    drain_s: float = 0.0  # between SIGTERM, when health says no, and the end


def serve(calls: Calls, listening: Listening) -> None:
    """Answer until SIGTERM or SIGINT; calls in flight are answered first. Raises: PortInUse, BadInput."""
    asyncio.run(_serve(calls, listening))


async def _serve(calls: Calls, listening: Listening) -> None:
    ending, loop = asyncio.Event(), asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, ending.set)
    limit = listening.max_message_bytes
    server = grpc.aio.server(
        options=[("grpc.max_receive_message_length", limit), ("grpc.so_reuseport", 1)],
        maximum_concurrent_rpcs=MOST_CALLS,
    )
    server.add_generic_rpc_handlers(_handlers(calls, ending))
    _bind(server, listening)
    await server.start()
    calls.service.gateway.mirror.attach(loop)
    while not ending.is_set():
        listening.tick()
        await _within(ending, _TICK_S)
    calls.service.gateway.live.draining.begin()
    await asyncio.sleep(max(listening.drain_s, LINGER_S))
    await _turn_away(calls)
    await server.stop(GRACE_S)


async def _turn_away(calls: Calls) -> None:
    """Refuse calls until they stay away: grpcio just cancels those that meet a server which closes."""
    calls.is_ending, before = True, -1
    until = asyncio.get_running_loop().time() + MOST_TURNING_S
    while calls.turned_away != before and asyncio.get_running_loop().time() < until:
        before = calls.turned_away
        await asyncio.sleep(QUIET_S)


def _bind(server: grpc.aio.Server, listening: Listening) -> None:
    host = f"[{listening.host}]" if ":" in listening.host else listening.host
    address = f"{host}:{listening.port}"
    try:
        if listening.tls is None:
            server.add_insecure_port(address)
        else:
            server.add_secure_port(address, grpc.ssl_server_credentials([listening.tls]))
    except RuntimeError as refused:  # all that grpcio says of it
        raise PortInUse(listening.host, listening.port) from refused


def _handlers(calls: Calls, ending: asyncio.Event) -> tuple[grpc.GenericRpcHandler, ...]:
    """What grpcio calls, by the names of services and methods; bytes in, bytes out."""
    unary = grpc.unary_unary_rpc_method_handler
    inference = {name: unary(partial(_answer, calls, name)) for name in METHODS}
    watch = grpc.unary_stream_rpc_method_handler(partial(_watch, calls, ending))
    of_health = {"Check": unary(partial(_check, calls)), "Watch": watch}
    return (
        grpc.method_handlers_generic_handler(INFERENCE, inference),
        grpc.method_handlers_generic_handler(HEALTH, of_health),
    )


async def _answer(calls: Calls, name: str, content: bytes, context: Context) -> bytes:
    call = Call(name, dict(context.invocation_metadata()))
    response = await calls.answer(call, content, context.time_remaining())
    return await _refuse(context, response) if isinstance(response, Refusal) else response


async def _check(calls: Calls, content: bytes, context: Context) -> bytes:
    try:
        return health.check(calls.service, content)
    except BadInput as wrong:
        refusal = calls.refusal(wrong)
    return await _refuse(context, refusal)


async def _watch(
    calls: Calls,
    ending: asyncio.Event,
    content: bytes,
    context: Context,
) -> AsyncIterator[bytes]:
    try:
        name = health.service_of(content)
    except BadInput as wrong:
        await _refuse(context, calls.refusal(wrong))
        return
    told = -1
    while not ending.is_set():
        status = health.status_of(calls.service, name)
        if status != told:
            told = status
            yield health.answer(status)
        await _within(ending, LOOK_S)
    yield health.answer(health.NOT_SERVING)  # and the stream ends, so that it holds nothing up


async def _refuse(context: Context, refusal: Refusal) -> bytes:
    await context.abort(grpc.StatusCode[refusal.status], refusal.message[:_LONGEST])
    return b""


async def _within(event: asyncio.Event, seconds: float) -> bool:
    """Whether an event happens in time."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True
