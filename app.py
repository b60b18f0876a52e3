"""The page with its library: `python app.py`, here and on a Space.

Opens the library, fills an empty one with the demo, starts the worker and loads the models beside the page.
"""

from __future__ import annotations

import argparse
import logging
import os
import threading

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

from app import create_app
from pipeline.ask import Asker
from pipeline.library import jobs
from pipeline.library.store import Library
from pipeline.library.supervise import start_worker
from pipeline.settings import Settings


def log_own_news() -> None:
    """What this project does is logged; of what it is built on, only warnings."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("app", "pipeline"):
        logging.getLogger(name).setLevel(logging.INFO)


def main() -> None:
    parser = argparse.ArgumentParser(prog="app.py", description=__doc__)
    parser.epilog = "Settings are environment variables (README.md); the port is GRADIO_SERVER_PORT."
    parser.parse_args()
    log_own_news()
    settings = Settings()
    library = Library.open(settings.library_dir)
    if settings.demo:
        jobs.add_demo(library)
    start_worker(library.root)
    asker = Asker(library, None, settings)
    page = create_app(library, settings, asker)
    threading.Thread(target=asker.warm, name="warm", daemon=True).start()
    page.launch()


if __name__ == "__main__":
    main()
