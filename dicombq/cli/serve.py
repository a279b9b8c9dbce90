"""``serve``: the API itself, on this machine."""

from __future__ import annotations

import importlib.util
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dicombq import config
from dicombq.cli.choices import size
from dicombq.cli.groups import Command, common_options
from dicombq.cli.render import Output
from dicombq.errors import InvalidArgument

if TYPE_CHECKING:
    from dicombq.serve.settings import Settings

_NEEDED = ("jinja2", "starlette", "uvicorn")


@click.command(
    "serve",
    cls=Command,
    short_help="Serve the API: REST, DICOMweb, console.",
    epilog="""\b
Examples:
  dicombq serve
  dicombq serve --host=0.0.0.0 --token-file=token --read-only""",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8085, show_default=True, help="Port to listen on; 0 for any."
)
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A file with the token that clients must give; needed where others than this machine can reach the address.",
)
@click.option("--read-only", is_flag=True, help="Refuse whatever would change something.")
@click.option(
    "--max-upload",
    callback=size,
    default="10GB",
    show_default=True,
    metavar="SIZE",
    help="Refuse requests that are larger: 500MB, 20GB.",
)
@common_options
@click.pass_obj
def serve(
    output: Output,
    /,
    host: str,
    port: int,
    token_file: Path | None,
    read_only: bool,
    max_upload: int,
    project: str | None,
    location: str | None,
    dataset: str | None,
) -> int:
    """Serve the stores and operations of this machine to gcloud, curl, Google's clients and DICOMweb, with a console.

    It needs pip install 'dicombq[serve]'. Ctrl-C or SIGTERM ends it; operations that run go on.
    """
    if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        raise InvalidArgument(f"{missing[0]} is not installed", "Install it: pip install 'dicombq[serve]'")
    from dicombq.serve.run import end_process, read_token, serve
    from dicombq.serve.settings import Settings, is_loopback

    def started(settings: Settings) -> None:
        parent = config.parent(project, location, dataset)
        stores = f"{settings.url}/v1/{parent}/dicomStores"
        output.status(f"gcloud:   export CLOUDSDK_API_ENDPOINT_OVERRIDES_HEALTHCARE={settings.url}/")
        output.status(f"DICOMweb: {stores}/STORE/dicomWeb")
        output.status(f"Console:  {settings.url}/")
        if not is_loopback(settings.host):
            output.warning(f"whoever has the token and reaches [{host}] can use all of [{settings.home}], unencrypted.")

    logger, handler = logging.getLogger("dicombq.serve"), logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(output.level)
    token = None if token_file is None else read_token(token_file)
    settings = Settings(config.home(), token, read_only, max_upload, host, port)
    try:
        serve(settings, started)
    except KeyboardInterrupt:
        output.status("Stopped.")
        end_process()
    return 0
