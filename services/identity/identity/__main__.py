"""`python -m identity`: settings from the environment, Kafka, one HTTP server."""

from common.contracts.topics import TOPICS
from common.web.entrypoint import serve
from identity.main import create_app
from identity.settings import Settings

if __name__ == "__main__":
    serve("identity", Settings.load(), create_app, topics=TOPICS)
