"""`kgen demo`: a page that redraws the image while you type."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from typing import Any

from kgen.command.model_files import HELP, check_class, load_model
from kgen.option_types import whole_number
from kgen.standard_output import results_only

EXAMPLES = """\
  kgen demo                                                             # people, from English or Chinese prompts
  kgen demo openmoji_128 --port 8000
  kgen demo text_to_image_my_images/model.keras --host 0.0.0.0          # open to the local network"""
DEFAULT_MODEL = "avatars_128"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the sub-command."""
    parser.add_argument("model", metavar="MODEL", nargs="?", default=DEFAULT_MODEL, help=f"{HELP}; a TextToImage")
    parser.add_argument("--host", metavar="ADDRESS", default="127.0.0.1", help="0.0.0.0 lets other machines connect")
    parser.add_argument("--port", metavar="N", type=whole_number(1, 65535), help="default: first free port from 7860")
    parser.add_argument("--share", action="store_true", help="also open a public address through Gradio's servers")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Serves the page until it is interrupted."""
    check_class(options.model, "TextToImage")
    # Set before the import: Gradio reports every start to its makers.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise ImportError(f'the page needs Gradio ({error}): pip install "keras-kgen[demo-ui]"') from error
    with results_only():
        model = load_model(options.model)
        from kgen.command.demo_page import DemoPage

        page = DemoPage(model, options.model)
        address = page.open(options.host, options.port, options.share)
        print(f"kgen demo: the page is at {address}. Press Ctrl+C to stop.", file=sys.stderr, flush=True)
        try:
            _wait()
        except KeyboardInterrupt:
            print("", file=sys.stderr)
        finally:
            page.close()
    return {"files": []}


def _wait():
    """Waits to be interrupted."""
    threading.Event().wait()
