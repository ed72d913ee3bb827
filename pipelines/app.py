"""Serve a page in the browser on which people paint: words or pictures in, a process that plays out.

    python -m pipelines.app
    python -m pipelines.app painters='[tiny, outputs/painter]' out=outputs/app port=8080
    python -m pipelines.app host=0.0.0.0 gallery=own limits.queue=50 limits.paintings=500

It listens on this machine alone unless host= says otherwise, and sends nothing anywhere. One painting is made at a
time; whoever comes meanwhile sees a place in the queue. Each painting is a folder under OUT, as paint writes it.
Ctrl-C ends it. It needs Gradio: pip install 'process-painter[app]'.
"""

import os
import socket
import threading
from importlib.util import find_spec
from typing import TYPE_CHECKING

from conf.command import Summary, command, leave
from conf.devices import compute_device
from conf.errors import ConfigError, UserError
from conf.progress import tell
from pipelines.web.settings import AppConfig, app_config
from training.data.claim import claimed_folder

if TYPE_CHECKING:
    from pipelines.web.paintings import Paintings


def run(config: AppConfig) -> Summary:
    """Serve until Ctrl-C.

    Raises:
        UserError: if Gradio is not installed, a painter is not complete, the port is taken, or `out` holds other work.
    """
    if find_spec("gradio") is None:
        raise UserError("the app needs gradio: pip install 'process-painter[app]'")
    compute_device(config.device)
    _check_address(config)
    from pipelines.web.paintings import CARD, Paintings

    paintings = Paintings(config.out.resolve())
    with claimed_folder(config.out, what="the paintings of an app", card=CARD, check=lambda: None):
        try:
            return _serve(config, paintings)
        finally:
            paintings.end()


def _serve(config: AppConfig, paintings: "Paintings") -> Summary:
    os.environ["GRADIO_TEMP_DIR"] = str(paintings.uploads)  # Gradio reads these when it is imported
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    from pipelines.web.easel import Easel
    from pipelines.web.page import STYLE, make_page, theme
    from pipelines.web.routes import guard, painting_routes

    easel = Easel(config, paintings)
    for name in config.by_name:
        easel.card(name)
    paintings.begin()
    easel.load(next(iter(config.by_name)))
    page = make_page(config, easel, paintings)
    app_kwargs = {"routes": painting_routes(paintings), "middleware": [guard(config.host, config.limits.upload_bytes)]}
    page.launch(
        server_name=config.host, server_port=config.port, max_file_size=config.limits.upload_bytes, theme=theme(),
        css=STYLE, app_kwargs=app_kwargs, footer_links=[], run_history=False, share=False, ssr_mode=False,
        mcp_server=False, enable_monitoring=False, pwa=False, quiet=True, prevent_thread_lock=True,
    )  # fmt: skip
    tell(f"painting at http://{config.host}:{config.port}; Ctrl-C ends it")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        tell("closing")
    page.close(verbose=False)
    return Summary(lines=(f"{len(paintings.latest(10**9))} paintings: {config.out}",))


def _check_address(config: AppConfig) -> None:
    """Raise UserError, before anything is loaded, if the host is not an address or the port cannot be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.host, config.port))
        except OSError as error:
            address = f"host={config.host} port={config.port}"
            raise UserError(f"{address}: cannot listen here: {error.strerror or error}; choose another port") from error
        except (TypeError, ValueError) as error:  # the host has characters that no host name may have
            raise ConfigError("host", config.host, "the address or the name of a host") from error


if __name__ == "__main__":
    leave(command("app", app_config, run, __doc__ or ""))
