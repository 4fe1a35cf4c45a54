"""`python -m audit`: settings from the environment, Kafka, one HTTP server."""

from audit.main import create_app
from audit.settings import Settings
from common.contracts.topics import TOPICS
from common.web.entrypoint import serve

if __name__ == "__main__":
    serve("audit", Settings.load(), create_app, topics=TOPICS)
