"""`python -m datashare`: settings from the environment, Kafka, one HTTP server."""

from common.contracts.topics import TOPICS
from common.web.entrypoint import serve
from datashare.main import create_app
from datashare.settings import Settings

if __name__ == "__main__":
    serve("datashare", Settings.load(), create_app, topics=TOPICS)
