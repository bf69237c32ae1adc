"""The front door splits as it is told, loses no request while arms come and go, and passes every answer on."""

import asyncio
import collections
import contextlib
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import psutil
import pytest
from aiohttp import ClientError, ClientSession, web

from common.errors import ConfigError
from embedded.controllers import front_door
from embedded.controllers.front_door import FrontDoor, weight


class Arm:
    """Plays a model server: answers with its name, or with a code that is no success."""

    def __init__(self, name: str, code: int = 200) -> None:
        self.name, self.code, self.heard, self.address = name, code, 0, ""
        self._runner: web.ServerRunner | None = None

    async def start(self) -> "Arm":
        self._runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.address = site.name.removeprefix("http://")
        return self

    async def end(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        await request.read()
        self.heard += 1
        return web.Response(text=self.name, status=self.code)


class Scene:
    """A door, two arms behind it, and what clients heard."""

    def __init__(self, door: FrontDoor, session: ClientSession, champion: Arm, canary: Arm) -> None:
        self.door, self._session, self.champion, self.canary = door, session, champion, canary
        self.heard: collections.Counter[str] = collections.Counter()
        self.failures: list[str] = []

    def route(self, percent: int) -> None:
        self.door.route(self.champion.address, self.canary.address, percent)

    async def ask(self) -> None:
        try:
            async with self._session.post(f"http://127.0.0.1:{self.door.port}/v1/models/m:predict", data=b"x") as got:
                self.heard[f"{await got.text()} {got.status}"] += 1
        except ClientError as error:
            self.failures.append(repr(error))

    async def ask_often(self, times: int) -> None:
        async def one_client() -> None:
            for _ in range(times // 10):
                await self.ask()

        self.heard.clear()
        await asyncio.gather(*(one_client() for _ in range(10)))

    async def under_load(self, phase: Callable[[], Awaitable[None]]) -> None:
        """Ask 200 times a second while something happens."""
        over = asyncio.Event()

        async def load() -> None:
            asked = set()
            while not over.is_set():
                asked.add(asyncio.create_task(self.ask()))
                await asyncio.sleep(0.005)
            await asyncio.gather(*asked)

        loading = asyncio.create_task(load())
        await phase()
        over.set()
        await loading


@contextlib.asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    champion, canary = await Arm("champion").start(), await Arm("canary").start()
    door = FrontDoor(0, folder / "a door {x}", folder / "logs" / "door.log", lambda: None)
    try:
        async with ClientSession() as session:
            yield Scene(door, session, champion, canary)
    finally:
        await door.stop()
        await champion.end()
        await canary.end()


def caddy_processes() -> list[psutil.Process]:
    return [each for each in psutil.Process().children() if "caddy" in each.name()]


def is_about(count: int, of: int, share: float) -> bool:
    """Within three standard deviations."""
    return abs(count - of * share) <= 3 * math.sqrt(of * share * (1 - share))


@pytest.mark.parametrize(("percent", "digits"), [(0, "0000"), (1, "028f"), (10, "199a"), (50, "8000"), (100, "g")])
def test_a_share_is_written_so_that_text_order_is_the_order_of_numbers(percent: int, digits: str) -> None:
    assert weight(percent) == digits


def test_the_canary_hears_its_share_and_a_change_of_it_needs_no_restart(tmp_path: Path) -> None:
    async def play() -> None:
        async with scene(tmp_path) as it:
            it.route(10)
            await it.ask_often(2000)
            (caddy,) = caddy_processes()
            assert is_about(it.heard["canary 200"], 2000, 0.1)
            it.route(100)
            await it.ask_often(200)
            assert it.heard == {"canary 200": 200}
            it.route(0)
            await it.ask_often(200)
            assert it.heard == {"champion 200": 200}
            assert (caddy_processes(), it.failures) == ([caddy], [])

    asyncio.run(play())


def test_arms_that_die_or_move_cost_no_request(tmp_path: Path) -> None:
    async def play() -> None:
        async with scene(tmp_path) as it:

            async def phases() -> None:
                it.route(50)
                while len(it.heard) < 2:
                    await asyncio.sleep(0.1)
                await it.canary.end()
                await asyncio.sleep(0.3)
                await it.canary.start()
                it.route(50)
                await it.champion.end()
                await asyncio.sleep(0.3)
                it.door.route(it.canary.address, "", 0)
                await asyncio.sleep(0.3)

            await it.under_load(phases)
            assert (it.failures, set(it.heard)) == ([], {"champion 200", "canary 200"})

    asyncio.run(play())


def test_a_request_waits_for_a_server_that_comes_back_elsewhere(tmp_path: Path) -> None:
    async def play() -> None:
        async with scene(tmp_path) as it:
            it.route(0)
            await it.champion.end()
            asked = asyncio.create_task(it.ask())
            await asyncio.sleep(0.5)
            assert not asked.done()
            await it.champion.start()
            it.route(0)
            await asked
            assert it.heard == {"champion 200": 1}

    asyncio.run(play())


def test_an_answer_of_500_is_passed_on_and_not_asked_for_again(tmp_path: Path) -> None:
    async def play() -> None:
        async with scene(tmp_path) as it:
            it.canary.code = 500
            it.route(100)
            await it.ask_often(50)
            assert it.heard == {"canary 500": 50}
            assert (it.canary.heard, it.champion.heard) == (50, 0)

    asyncio.run(play())


def test_a_canary_with_no_share_hears_nothing_even_while_the_champion_is_away(tmp_path: Path) -> None:
    async def play() -> None:
        async with scene(tmp_path) as it:
            it.route(0)
            await it.ask()
            await it.champion.end()
            asked = asyncio.create_task(it.ask())
            await asyncio.sleep(0.5)
            await it.champion.start()
            it.route(0)
            await asked
            assert (it.canary.heard, it.heard) == (0, {"champion 200": 2})

    asyncio.run(play())


def test_a_killed_caddy_comes_back_with_the_same_split(tmp_path: Path) -> None:
    async def play() -> None:
        async with scene(tmp_path) as it:
            it.route(50)
            await it.ask()
            (caddy,) = caddy_processes()
            caddy.kill()
            await it.ask_often(400)
            assert is_about(it.heard["canary 200"], sum(it.heard.values()), 0.5)
            assert sum(it.heard.values()) >= 390, "only what the dead one was answering is lost"
            assert [each.pid for each in caddy_processes()] != [caddy.pid]

    asyncio.run(play())


def test_a_door_carries_the_units_mark_writes_only_beside_its_files_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_UNIT", "a unit")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for Caddy")

    async def play() -> int:
        async with scene(tmp_path) as it:
            it.route(0)
            await it.ask()
            (caddy,) = caddy_processes()
            environment = caddy.environ()
            assert environment["MLOPS_UNIT"] == "a unit"
            assert "AWS_SECRET_ACCESS_KEY" not in environment
            assert environment["HOME"] == environment["XDG_DATA_HOME"] == str(tmp_path / "a door {x}")
            return it.door.port

    port = asyncio.run(play())
    assert (caddy_processes(), list(tmp_path.iterdir())) == ([], [tmp_path / "logs"])
    with pytest.raises(ConnectionRefusedError):
        asyncio.run(asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 5))


def test_where_caddy_is_not_installed_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(front_door.sysconfig, "get_path", lambda _: str(tmp_path))
    with pytest.raises(ConfigError, match=r"Caddy is not installed: there is no .*/caddy\."):
        front_door.caddy()
