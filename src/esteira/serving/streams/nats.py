"""NATS JetStream as a stream: a consumer that is made anew wherever the reader wishes to stand.

The reader's place is its own, so a consumer is only a way to get the messages that follow. It is pulled from,
so no more comes than there is room for. Its deliveries are counted: one that is missing, or comes again, ends
the consumer, and the next begins at the message that is wanted. The protocol of pulling is spoken here, not
by the library's `fetch`, which can leave a request behind and then stalls (nats.py#986), and the library does
not reconnect, after which its pulling subscriptions stay silent (nats.py#504): the next call does.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import nats
import nats.errors
import nats.js.errors
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, RetentionPolicy

from esteira.base.errors import BadInput, NotFound, ServiceUnreachable
from esteira.serving.streams.addresses import credential, parse_address
from esteira.serving.streams.loop_thread import LoopThread
from esteira.serving.streams.port import Message, StreamMadeAnew

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Sequence

    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription
    from nats.js import JetStreamContext
    from nats.js.api import StreamInfo

    from esteira.serving.streams.port import Cursor

log = logging.getLogger(__name__)
_T = TypeVar("_T")

PARTITION = 0  # the only one
CONNECT_S, ANSWER_S = 3.0, 5.0  # how long the server may take
_SHORTEST_S = 0.01  # that a request may wait
_GRACE_S = 0.5  # after the end of a request, for its last word
_IDLE_S = 300.0  # until the server forgets a consumer without a name
_TOGETHER = 500  # messages that are published before the first answer is awaited
_OURS = "made by esteira for a scorer that keeps its own place"
_SHORT_REPLY = 9  # words, where the server names no domain
_FIRST = 1  # JetStream counts from 1
_DONE = {"404", "408", "409"}  # the last word on a request: no messages, its time is over, or it was ended
_LOST = ("Deleted", "Shutdown", "Leadership")  # in the words of a 409: the consumer is no more
_TOO_LARGE = "Exceed"  # in the words of a 409: not even one message fits into the bytes that were asked for


class NatsStream:
    """A JetStream stream: `nats://HOST[:PORT]/STREAM?subject=…&durable=…`.

    With `subject`, only its messages; with `durable`, the server shows a consumer of that name with its
    progress: each scorer needs a name of its own, and under another name it reads from the beginning.
    NATS_USERNAME and NATS_PASSWORD, or NATS_TOKEN, are read from the environment.
    Raises: BadInput (malformed; a stream that does not keep its messages), NotFound, ServiceUnreachable.
    """

    def __init__(self, url: str) -> None:
        address = parse_address(url, 4222, ("subject", "durable"))
        self.address, self._hosts, self._name = address.shown, address.hosts, address.name
        self._subject, self._durable = address.options.get("subject", ""), address.options.get("durable", "")
        self._loop = LoopThread("nats")
        self._client: Client | None = None
        self._consumer: _Consumer | None = None
        try:
            self.identity = self._call(self._identify())
        except BaseException:
            self.close()
            raise

    def read(self, start: Cursor, most: int, size: int, wait_s: float) -> list[Message]:
        """See `Stream.read`."""
        position = max(start.get(PARTITION, _FIRST), _FIRST)
        return self._call(self._read(position, most, size, wait_s))

    def behind(self, start: Cursor) -> int:
        """See `Stream.behind`."""
        return self._call(self._behind(max(start.get(PARTITION, _FIRST), _FIRST)))

    def acknowledge(self, until: Cursor) -> None:
        """See `Stream.acknowledge`: of a `durable` consumer, its progress."""
        if self._durable and PARTITION in until:
            self._call(self._acknowledge(until[PARTITION]))

    def publish(self, payloads: Sequence[bytes], keys: Sequence[str] = ()) -> None:
        """See `Stream.publish`; a key travels as the header `Nats-Key`, in one line."""
        self._call(self._publish(payloads, keys or [""] * len(payloads)))

    def close(self) -> None:
        """See `Stream.close`."""
        with suppress(Exception):
            self._loop.call(self._drop())
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, _T]) -> _T:
        try:
            return self._loop.call(self._dropping(work))
        except nats.js.errors.NotFoundError as absent:
            mend = f"make it: nats stream add {self._name}"
            raise NotFound("JetStream stream", self._name, mend) from absent
        except (nats.errors.Error, OSError) as down:  # a timeout is an OSError
            # What the library says of a login may hold the URL; the kind of the error says enough.
            reason = str(down) if isinstance(down, OSError) else type(down).__name__
            raise ServiceUnreachable("NATS", self._hosts, reason) from None

    async def _dropping(self, work: Awaitable[_T]) -> _T:
        """What something gives; if it fails, the connection is given up, and the next call makes another."""
        try:
            return await work
        except BaseException:
            await self._drop()
            raise

    async def _drop(self) -> None:
        client, self._client, self._consumer = self._client, None, None
        if client is not None:
            with suppress(Exception):
                await asyncio.wait_for(client.close(), ANSWER_S)

    async def _jetstream(self) -> JetStreamContext:
        if self._client is None or not self._client.is_connected:
            await self._drop()
            self._client = await nats.connect(
                [f"nats://{host}" for host in self._hosts.split(",")],
                user=credential("NATS_USERNAME") or None,
                password=credential("NATS_PASSWORD") or None,
                token=credential("NATS_TOKEN") or None,
                connect_timeout=CONNECT_S,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                ping_interval=10,
                error_cb=_hear,
            )
        return self._client.jetstream(timeout=ANSWER_S)

    async def _info(self) -> StreamInfo:
        return await (await self._jetstream()).stream_info(self._name)

    async def _identify(self) -> str:
        info = await self._info()
        if info.config.retention not in (None, RetentionPolicy.LIMITS):
            mend = f"nats stream add COPY --source {self._name}, and read that"
            raise BadInput(
                f"{self.address} deletes what a consumer has taken, but a scorer reads again; {mend}"
            )
        return f"nats:{self._name}:{info.created}:{self._subject}:{self._durable}"

    async def _read(self, position: int, most: int, size: int, wait_s: float) -> list[Message]:
        found: list[Message] = []
        until = time.monotonic() + wait_s
        while True:
            consumer = await self._at(position)
            taken = await consumer.pull(most - len(found), size, max(until - time.monotonic(), _SHORTEST_S))
            found += taken
            position = consumer.position
            size -= sum(len(message.payload) for message in taken)
            if consumer.is_lost:  # the next one begins where it failed
                self._consumer = None
            if len(found) >= most or size <= 0 or time.monotonic() >= until:
                return found

    async def _at(self, position: int) -> _Consumer:
        """A consumer that gives the message at a position next, or the first after it."""
        js = await self._jetstream()
        if self._consumer is None or self._consumer.position != position:
            if self._consumer is not None:
                await self._consumer.end()
            self._consumer = await self._begin(js, position)
        return self._consumer

    async def _begin(self, js: JetStreamContext, position: int) -> _Consumer:
        identity = await self._identify()
        state = (await self._info()).state
        if identity != self.identity or state.last_seq + 1 < position:
            raise StreamMadeAnew(self.address, position, state.last_seq + 1, "start the scorer again")
        if state.first_seq > position and state.first_seq > _FIRST:
            facts = {"stream": self.address, "from": position, "to": state.first_seq}
            log.log(logging.ERROR if position > _FIRST else logging.INFO, "messages are gone", extra=facts)
        if self._durable:
            await self._release(js)
        config = ConsumerConfig(
            durable_name=self._durable or None,
            description=_OURS,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=position,
            ack_policy=AckPolicy.ALL if self._durable else AckPolicy.NONE,
            ack_wait=3600,
            max_ack_pending=-1 if self._durable else None,
            filter_subject=self._subject or None,
            inactive_threshold=None if self._durable else _IDLE_S,
        )
        made = await js.add_consumer(self._name, config)
        assert self._client is not None  # connected
        inbox = self._client.new_inbox()
        heard = await self._client.subscribe(inbox, pending_msgs_limit=-1, pending_bytes_limit=-1)
        return _Consumer(self._client, f"{self._name}.{made.name}", inbox, heard, position)

    async def _release(self, js: JetStreamContext) -> None:
        """Delete the consumer of the last time. Raises: BadInput (somebody else's)."""
        with suppress(nats.js.errors.NotFoundError):
            known = await js.consumer_info(self._name, self._durable)
            if known.config.description != _OURS:
                raise BadInput(
                    f"consumer {self._durable!r} of {self.address} is somebody else's; name another"
                )
            await js.delete_consumer(self._name, self._durable)

    async def _behind(self, position: int) -> int:
        consumer = await self._at(position)
        js = await self._jetstream()
        info = await js.consumer_info(self._name, consumer.name)
        return int(info.num_pending or 0) + consumer.heard.pending_msgs

    async def _acknowledge(self, until: int) -> None:
        if self._consumer is not None and self._consumer.last[0] == until and self._client is not None:
            await self._client.publish(self._consumer.last[1], b"+ACK")

    async def _publish(self, payloads: Sequence[bytes], keys: Sequence[str]) -> None:
        js = await self._jetstream()
        subject = self._subject or ((await self._info()).config.subjects or [""])[0]
        if not subject or {"*", ">"} & {*subject.split(".")}:
            raise BadInput(f"{self.address} has no one subject to publish to; name it: ?subject=…")
        for start in range(0, len(payloads), _TOGETHER):
            ends = slice(start, start + _TOGETHER)
            pairs = zip(payloads[ends], keys[ends], strict=True)
            await asyncio.gather(
                *(
                    js.publish(subject, each, headers={"Nats-Key": key} if key else None)
                    for each, key in pairs
                )
            )


class _Consumer:
    """One consumer on the server, and where it stands."""

    def __init__(self, client: Client, name: str, inbox: str, heard: Subscription, position: int) -> None:
        self.name, self.heard, self.position = name.partition(".")[2], heard, position
        self.is_lost = False  # whether a delivery was missed
        self.last = (0, "")  # the position after the last message, and where it is acknowledged
        self._client, self._inbox, self._delivered = client, inbox, 0
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{name}"

    async def pull(self, most: int, size: int, wait_s: float) -> list[Message]:
        """The next messages, when there are so many or their time is over."""
        asked = {"batch": most, "expires": int(wait_s * 1e9), "max_bytes": size}
        await self._client.publish(self._next, json.dumps(asked).encode(), self._inbox)
        found: list[Message] = []
        until = time.monotonic() + wait_s + _GRACE_S
        while len(found) < most:
            try:
                heard = await self.heard.next_msg(timeout=max(until - time.monotonic(), 0.001))
            except nats.errors.TimeoutError:
                await self._client.flush(timeout=int(ANSWER_S))  # silent, or away?
                break
            status = (heard.headers or {}).get("Status", "")
            if not status:
                message = self._take(heard)
                if message is None:
                    break
                found.append(message)
            elif status in _DONE and (found or not await self._ask_for_one(heard)):
                break
            elif status in _DONE:
                most = 1
        return found

    async def _ask_for_one(self, word: Msg) -> bool:
        """Ask for a message that is larger than was asked for; False when that was not the last word."""
        said = (word.headers or {}).get("Description", "")
        self.is_lost |= any(lost in said for lost in _LOST)
        if _TOO_LARGE not in said:
            return False
        await self._client.publish(self._next, b'{"batch": 1, "expires": 1000000000}', self._inbox)
        return True

    def _take(self, heard: Msg) -> Message | None:
        number, delivery, nanoseconds = _places(heard.reply)
        if delivery != self._delivered + 1 or number < self.position:
            self.is_lost = True
            return None
        self._delivered, self.position, self.last = delivery, number + 1, (number + 1, heard.reply)
        key = (heard.headers or {}).get("Nats-Key", "")
        return Message(PARTITION, number, nanoseconds // 1000, key, heard.data)

    async def end(self) -> None:
        """Stop to listen; the server deletes the consumer when it is idle or made anew."""
        await self.heard.unsubscribe()


def _places(reply: str) -> tuple[int, int, int]:
    """A message's number in the stream, that of its delivery, and its time in nanoseconds.

    `$JS.ACK.STREAM.CONSUMER.times.number.delivery.time.pending`, or the same with domain and account before
    the stream and more at the end (NATS ADR-15).
    """
    words = reply.split(".")
    first = 5 if len(words) == _SHORT_REPLY else 7
    return int(words[first]), int(words[first + 1]), int(words[first + 2])


async def _hear(_error: Exception) -> None:
    """The library would log every one; the caller of the next act hears of it, once."""
