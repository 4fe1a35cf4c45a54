"""ACLs, passwords and TLS on a broker with authorization: each member connects as its own principal."""

import asyncio
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import orjson
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import TopicAuthorizationFailedError
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import HeartbeatRequest
from confluent_kafka.admin import AclBinding, AclOperation, ResourcePatternType, ResourceType

from common.contracts.services import MEMBERS, SERVICES
from common.contracts.topics import OPERATOR, PRINCIPALS, TOPICS
from common.messaging.bus import BusUnavailable, Message
from common.messaging.kafka import KafkaBus, KafkaSecurity, kafka_bus
from common.messaging.kafka.client import client_options
from common.messaging.topics import FEED_TOPIC, Topic, events_topic, receipts_topic
from common.settings import CommonSettings
from deploy.kafka_admin import KafkaAdmin, KafkaRefusedError, acl, acl_text
from deploy.kafka_broker import BrokerSecurity, KafkaBroker
from deploy.kafka_jars import KafkaUnavailableError
from tests.contracts.conftest import MISSING
from tests.contracts.harness import eventually, read_whole
from tests.harness.certificates import Certificates, certificates

pytestmark = pytest.mark.kafka

DECLARED = list(TOPICS.values())
TOPIC_REFUSED, GROUP_REFUSED = 29, 30
SUPER = "admin"


class Secured:
    """The broker, and clients of it by principal."""

    def __init__(self, broker: KafkaBroker, made: Certificates, passwords: dict[str, str]) -> None:
        self.broker, self.made, self.passwords = broker, made, passwords
        self.bootstrap = broker.bootstrap

    def security(self, principal: str = SUPER, **changed) -> KafkaSecurity:
        return KafkaSecurity(
            **{"username": principal, "password": self.passwords[principal], "ca_file": self.made.authority} | changed
        )

    def settings(self, principal: str, **changed) -> CommonSettings:
        values = {
            "environment": "development",
            "kafka_bootstrap": self.bootstrap,
            "kafka_username": principal,
            "kafka_password": self.passwords[principal],
            "kafka_ca_file": self.made.authority,
        }
        return CommonSettings.model_validate(values | changed)

    @asynccontextmanager
    async def bus(self, principal: str, **changed) -> AsyncIterator[KafkaBus]:
        bus = kafka_bus(self.settings(principal, **changed), principal, TOPICS)
        try:
            await bus.start()
            yield bus
        finally:
            await bus.stop()

    def admin(self, principal: str = SUPER) -> KafkaAdmin:
        return KafkaAdmin(self.bootstrap, self.security(principal))

    @asynccontextmanager
    async def client(self, principal: str) -> AsyncIterator[AIOKafkaAdminClient]:
        client = AIOKafkaAdminClient(**client_options(self.bootstrap, "test", self.security(principal)))
        try:
            await client.start()
            yield client
        finally:
            await client.close()

    async def differences(self, *, check: bool = True) -> list[str]:
        return await asyncio.to_thread(self.admin().ensure_acls, DECLARED, check=check)

    async def change_acls(self, *, created: Iterable[AclBinding] = (), deleted: Iterable[AclBinding] = ()) -> None:
        await asyncio.to_thread(self.admin().change_acls, created, deleted)


@pytest.fixture(scope="module")
async def secured(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> AsyncIterator[Secured]:
    directory = tmp_path_factory.mktemp("secured")
    made = certificates(directory / "certificates")
    # Characters with a meaning in Kafka's configuration must not have one in passwords.
    passwords = {name: f'{name}: a, "long" [pass=word]\\' for name in (*PRINCIPALS, SUPER)}
    security = BrokerSecurity("a-secret-among-nodes", passwords, made.certificate, made.key)
    broker = KafkaBroker(directory / "broker", security=security)
    try:
        await asyncio.to_thread(broker.start)
    except KafkaUnavailableError as problem:
        if os.environ.get("CI") == "true":
            raise
        pytestconfig.stash[MISSING] = str(problem)
        pytest.skip(str(problem))
    try:
        platform = Secured(broker, made, passwords)
        assert await asyncio.to_thread(platform.admin().ensure_topics, DECLARED) == []
        assert await platform.differences(check=False) == []
        yield platform
    finally:
        await asyncio.to_thread(broker.stop)


@pytest.mark.parametrize("principal", PRINCIPALS)
async def test_only_its_owner_writes_a_topic(secured: Secured, principal):
    own = [topic.name for topic in DECLARED if topic.owner == principal]
    if principal == OPERATOR:  # a principal without any write access gets no producer either
        with pytest.raises(BusUnavailable):
            async with secured.bus(principal):
                pass
        return
    async with secured.bus(principal) as bus:
        for topic in DECLARED:
            if topic.name in own:
                await bus.publish([Message(topic.name, "k", b"v")])
            else:
                with pytest.raises(BusUnavailable) as refused:
                    await bus.publish([Message(topic.name, "k", b"v")])
                assert isinstance(refused.value.__cause__, TopicAuthorizationFailedError), topic.name
        # After rejected publications the producer still works.
        await bus.publish([Message(topic, "k", b"v") for topic in own])


@pytest.mark.parametrize("principal", PRINCIPALS)
async def test_only_declared_readers_read_a_topic(secured: Secured, principal):
    async with secured.client(principal) as client:
        for topic in DECLARED:
            answer = await client._send_request(FetchRequest(0, 0, 1 << 20, 0, [(topic.name, [(0, 0, 1 << 20)])]))
            ((_, ((_, code, *_),)),) = answer.topics
            assert code == (0 if principal in topic.readers else TOPIC_REFUSED), topic.name


@pytest.mark.parametrize("principal", PRINCIPALS)
async def test_a_principal_uses_only_the_group_of_its_name(secured: Secured, principal):
    async with secured.client(principal) as client:
        for group in (*SERVICES, "gateway", "stranger"):
            answer = await client._send_request(HeartbeatRequest(group, 1, "nobody"))
            allowed = principal == group and group in SERVICES
            assert (answer.error_code != GROUP_REFUSED) == allowed, group


@pytest.mark.parametrize("principal", PRINCIPALS)
async def test_only_the_super_user_changes_the_cluster(secured: Secured, principal):
    admin = secured.admin(principal)
    everything = acl(principal, AclOperation.WRITE, ResourceType.TOPIC, FEED_TOPIC)
    for change in (
        lambda: admin.ensure_topics([Topic("xindun.new", owner=principal)]),
        lambda: admin.set_passwords({principal: "another"}),
        lambda: admin.change_acls([everything]),
        lambda: admin.change_acls(deleted=[everything]),
    ):
        with pytest.raises(KafkaRefusedError):
            await asyncio.to_thread(change)
    async with secured.client(principal) as client:
        answer = await client.delete_topics([FEED_TOPIC])
        assert [code for _, code in answer.topic_error_codes] == [TOPIC_REFUSED]
    assert await secured.differences() == []


async def test_a_member_works_with_its_declared_acls_only(secured: Secured):
    """It subscribes, reads and publishes at once."""
    delivered: list[Message] = []

    async def deliver(messages):
        delivered.extend(messages)

    bus = kafka_bus(secured.settings("identity"), "identity", TOPICS)
    await bus.subscribe("identity", [events_topic("datashare"), events_topic("incident")], deliver)
    await bus.start()
    try:
        await eventually(bus.healthy)
        receipts = bus.follow(*(receipts_topic(member) for member in MEMBERS), from_end=True)
        async with secured.bus("datashare") as datashare:
            result = [
                Message(events_topic("datashare"), "k", b"event"),
                Message(receipts_topic("datashare"), "p", b"alive"),
            ]
            await read_whole(receipts)
            await datashare.publish(result)
            await eventually(lambda: result[0] in delivered)
            assert await read_whole(receipts) == [result[1]]
            await bus.publish([Message(FEED_TOPIC, "account:1", b"cutoff")])
            assert Message(FEED_TOPIC, "account:1", b"cutoff") in await read_whole(datashare.follow(FEED_TOPIC))
    finally:
        await bus.stop()


async def test_the_operator_can_check_everything_without_write_access(secured: Secured):
    admin = secured.admin(OPERATOR)
    assert await asyncio.to_thread(admin.ensure_topics, DECLARED, check=True) == []
    assert await asyncio.to_thread(admin.ensure_acls, DECLARED, check=True) == []


async def test_a_client_without_valid_credentials_is_rejected(secured: Secured):
    for changed in ({"kafka_password": "wrong"}, {"kafka_username": "nobody"}, {"kafka_username": "controller"}):
        with pytest.raises(BusUnavailable):
            async with secured.bus("identity", **changed):
                pass
    with pytest.raises(BusUnavailable):
        await KafkaBus(secured.bootstrap, topics=TOPICS, client_id="nobody").start()


async def test_the_reason_of_a_timeout_names_a_wrong_password(secured: Secured, monkeypatch):
    monkeypatch.setattr("deploy.kafka_admin.REQUEST_TIMEOUT", 2.0)
    admin = KafkaAdmin(secured.bootstrap, secured.security(password="wrong"))
    with pytest.raises(BusUnavailable) as refused:
        await asyncio.to_thread(admin.ensure_acls, DECLARED)
    assert "invalid credentials" in str(refused.value.__cause__)


async def test_a_broker_with_a_certificate_of_another_authority_is_rejected(secured: Secured, tmp_path: Path):
    other = certificates(tmp_path).authority
    with pytest.raises(BusUnavailable):
        async with secured.bus("identity", kafka_ca_file=other):
            pass
    with pytest.raises(BusUnavailable):  # nor without TLS, which would reveal the password to any server
        async with secured.bus("identity", kafka_ca_file=None):
            pass
    with pytest.raises(SystemExit):
        kafka_bus(secured.settings("identity", kafka_username=None, kafka_password=None), "identity", TOPICS)


async def test_undeclared_acls_are_reported_and_deleted(secured: Secured):
    write, read, topic = AclOperation.WRITE, AclOperation.READ, ResourceType.TOPIC
    extra = [
        acl("datashare", write, topic, FEED_TOPIC),
        acl("*", read, topic, receipts_topic("gateway")),
        acl("incident", write, topic, "xindun.", ResourcePatternType.PREFIXED),
    ]
    stranger = acl("stranger", read, topic, FEED_TOPIC)
    foreign = f"foreign: {acl_text(stranger)}"
    await secured.change_acls(created=[*extra, stranger])
    try:
        assert set(await secured.differences()) == {*(f"undeclared: {acl_text(each)}" for each in extra), foreign}
        async with secured.bus("datashare") as bus:
            await bus.publish([Message(FEED_TOPIC, "k", b"forged")])
            assert set(await secured.differences(check=False)) == {
                *(f"deleted: {acl_text(each)}" for each in extra),
                foreign,
            }
            with pytest.raises(BusUnavailable):
                await bus.publish([Message(FEED_TOPIC, "k", b"forged")])
        assert await secured.differences() == [foreign]
    finally:
        await secured.change_acls(deleted=[stranger])
    assert await secured.differences() == []


async def test_a_missing_acl_is_reported_and_created_again(secured: Secured):
    lost = acl("gateway", AclOperation.READ, ResourceType.TOPIC, FEED_TOPIC)
    await secured.change_acls(deleted=[lost])
    assert await secured.differences() == [f"missing: {acl_text(lost)}"]
    assert await secured.differences(check=False) == []
    assert await secured.differences() == []


async def test_a_new_password_is_valid_at_once_and_open_connections_stay(secured: Secured):
    async with secured.bus("audit") as before:
        await asyncio.to_thread(secured.admin().set_passwords, {"audit": "the new one"})
        await before.publish([Message(events_topic("audit"), "k", b"before")])
        with pytest.raises(BusUnavailable):
            async with secured.bus("audit"):
                pass
        secured.passwords["audit"] = "the new one"
        async with secured.bus("audit") as after:
            await after.publish([Message(events_topic("audit"), "k", b"after")])


def _topics_command(secured: Secured, directory: Path, *words: str) -> tuple[int, dict]:
    for principal in PRINCIPALS:
        (directory / f"xindun_jobs_kafka_{principal}_password").write_text(secured.passwords[principal])
    (directory / "xindun_jobs_kafka_password").write_text(secured.passwords[SUPER])
    environment = {
        "XINDUN_SECRETS_DIR": str(directory),
        "XINDUN_JOBS_ENVIRONMENT": "development",
        "XINDUN_JOBS_KAFKA_BOOTSTRAP": secured.bootstrap,
        "XINDUN_JOBS_KAFKA_USERNAME": SUPER,
        "XINDUN_JOBS_KAFKA_CA_FILE": str(secured.made.authority),
        "XINDUN_JOBS_PATIENCE": "20",
    }
    done = subprocess.run(
        [sys.executable, "-m", "deploy.setup_commands", "topics", "--json", *words],
        env={key: value for key, value in os.environ.items() if not key.startswith("XINDUN_")} | environment,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.stdout, done.stderr.decode()
    return done.returncode, orjson.loads(done.stdout)


async def test_the_command_is_safe_to_repeat_and_its_check_reports_differences(secured: Secured, tmp_path: Path):
    def topics(*words: str) -> tuple[int, dict]:
        return _topics_command(secured, tmp_path, *words)

    for words in ((), ("--check",), ()):
        code, result = await asyncio.to_thread(topics, *words)
        assert (code, result["job"], result["found"]) == (0, "topics", [])
    extra = acl("gateway", AclOperation.WRITE, ResourceType.TOPIC, FEED_TOPIC)
    await secured.change_acls(created=[extra])
    code, result = await asyncio.to_thread(topics, "--check")
    assert (code, result["found"]) == (1, [f"undeclared: {acl_text(extra)}"])
    code, result = await asyncio.to_thread(topics)
    assert (code, result["found"]) == (0, [f"deleted: {acl_text(extra)}"])
    async with secured.bus("gateway") as bus:  # with the password that the job has set
        await bus.publish([Message(receipts_topic("gateway"), "k", b"v")])


def test_a_node_is_prepared_once_and_keeps_its_secrets_to_itself(tmp_path: Path):
    security = BrokerSecurity("a-secret-among-nodes", {"admin": "a password to keep secret"})
    broker = KafkaBroker(tmp_path / "node", port=21_000, security=security)
    with _skipped_without_kafka():
        command = broker.prepare()
    identity = (tmp_path / "node" / "data" / "meta.properties").read_text()
    assert broker.prepare() == command
    assert (tmp_path / "node" / "data" / "meta.properties").read_text() == identity
    assert not any(secret in word for word in command for secret in ("a-secret-among-nodes", "to keep secret"))
    files = [each for each in (tmp_path / "node").rglob("*") if each.is_file()]
    assert not any(b"to keep secret" in each.read_bytes() for each in files)
    holding = [each for each in files if b"a-secret-among-nodes" in each.read_bytes()]
    assert [each.name for each in holding] == ["server.properties"]
    assert stat.S_IMODE(holding[0].stat().st_mode) == 0o600
    assert not broker.log.exists(), "what the format says holds the verifiers of the passwords"


@contextmanager
def _skipped_without_kafka() -> Iterator[None]:
    try:
        yield
    except KafkaUnavailableError as problem:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(problem))
