"""The declaration of the topics says what the code does: the rights on the brokers are derived from it."""

import datashare.handlers
import identity.handlers
import incident.handlers
from common.contracts.services import MEMBERS, SERVICES
from common.contracts.topics import FEED, OPERATOR, RECEIPTS, TOPICS
from common.messaging.topics import events_topic

REACTS = {
    "identity": identity.handlers.handlers.publishers,
    "datashare": datashare.handlers.handlers.publishers,
    "incident": incident.handlers.handlers.publishers,
    "audit": set(MEMBERS),
    "gateway": set(),
}
"""Whose events each member receives: by its handlers, and audit all."""


def test_each_member_may_read_exactly_the_events_that_it_reacts_to():
    assert set(REACTS) == set(MEMBERS)
    events = {events_topic(publisher): publisher for publisher in MEMBERS}
    for member, publishers in REACTS.items():
        assert {events[name] for name in events if member in TOPICS[name].readers} == publishers, member


def test_who_receives_in_a_group_has_one_of_its_own_and_the_others_have_none():
    assert {member for member, publishers in REACTS.items() if publishers} == set(SERVICES)


def test_every_topic_has_an_owner_and_every_publisher_a_topic_of_its_events():
    assert {topic.owner for topic in TOPICS.values()} == set(MEMBERS)
    assert all(TOPICS[events_topic(publisher)].owner == publisher for publisher in MEMBERS)


def test_every_member_follows_the_feed_and_answers_on_a_topic_of_its_own_that_identity_reads():
    assert FEED.owner == "identity"
    assert FEED.partitions == 1, "its end is one number"
    assert FEED.readers - {OPERATOR} == set(MEMBERS)
    assert {topic.owner for topic in RECEIPTS} == set(MEMBERS)
    assert all(topic.readers - {OPERATOR} == {"identity"} for topic in RECEIPTS)


def test_the_operator_owns_nothing():
    assert OPERATOR not in MEMBERS
    assert not any(topic.owner == OPERATOR for topic in TOPICS.values())
