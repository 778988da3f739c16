"""The page of `kgen demo`: its layout and its events."""

from __future__ import annotations

import errno
import functools
import os
import socket
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from kgen.command import demo_photos
from kgen.command.demo_drawing import SEEDS, WALK_STEPS, Drawing
from kgen.command.demo_photos import ENHANCERS

# Example prompts that the presets were trained on; other models show prompts that they remember.
_PROMPTS = {
    "avatars_128": [
        "a person with pigtails and sunglasses",
        "a person with very long red hair and glasses",
        "a person with a black afro, glasses and a yellow sweater",
        "一个人，戴着眼镜，黑色长发",
    ],
    "scenes_128": ["two foxes", "three pandas", "a pink rabbit", "a purple penguin"],
    "openmoji_128": ["a smiling cat", "a red apple", "a black cat", "一只黑色的猫"],
}
_PROMPTS["openmoji_64"] = _PROMPTS["openmoji_128"]
_LARGEST_FILE = "10mb"
_FILE_LIMIT = "Files of up to 10 MB."
# While an image is being drawn, only the newest words wait.
_LIVE: dict[str, Any] = {"trigger_mode": "always_last", "show_progress": "hidden", "api_visibility": "private"}
_ASKED: dict[str, Any] = {"trigger_mode": "once", "api_visibility": "private", "concurrency_id": "photos"}

_CSS = """
.kgen-image figure, .kgen-walk figure { margin: 0; text-align: center }
.kgen-image img, .kgen-walk img { width: min(100%, 384px); margin: 0 auto; border-radius: 8px }
.kgen-says { height: 384px; display: grid; place-items: center; font-size: 1.4em }
.kgen-strip { display: grid; grid-template-columns: repeat(8, 1fr); gap: 6px }
.kgen-strip button { aspect-ratio: 1; padding: 0; border-radius: 6px; overflow: hidden; background: #8882 }
.kgen-strip button:hover, .kgen-strip button:focus-visible { outline: 3px solid #f80 }
.kgen-strip img { width: 100% }
"""
# The strip asks for its images one by one until the words change, and reports which one was chosen.
_STRIP = """
let asked = '';
watch('value', async () => {
    const mine = asked = props.value || '';
    const strip = element.querySelector('.kgen-strip');
    if (!mine) return strip.replaceChildren();
    const [words, first, ...rest] = JSON.parse(mine);
    const cells = Array.from({length: SEEDS}, (_, i) => {
        const cell = document.createElement('button');
        cell.dataset.seed = first + i;
        cell.title = `seed ${first + i}`;
        return cell;
    });
    strip.replaceChildren(...cells);
    for (const cell of cells) {
        const image = new Image();
        image.alt = `${words}, ${cell.title}`;
        image.src = await server.cell(JSON.stringify([words, Number(cell.dataset.seed), ...rest]));
        if (mine !== asked) return;
        cell.append(image);
    }
});
element.addEventListener('click', event => {
    const cell = event.target.closest('[data-seed]');
    if (cell) trigger('select', {seed: Number(cell.dataset.seed)});
});
""".replace("SEEDS", str(SEEDS))
_STEP = "place => document.querySelectorAll('.kgen-walk > div').forEach((each, i) => { each.hidden = i != place })"


class DemoPage:
    """A page that draws while words are typed, with tabs for a walk, enhancement and style.

    Args:
        model: a trained `TextToImage`.
        name: name of the model.

    Example:

    ```python
    page = DemoPage(kgen.models.TextToImage.from_preset("avatars_128"), "avatars_128")
    page.open()         # "http://127.0.0.1:7860/"
    page.close()
    ```
    """

    def __init__(self, model: Any, name: str):
        self.drawing = Drawing(model, name)
        self.name = name
        self.prompts = _PROMPTS.get(name) or _remembered(model)
        with gr.Blocks(title=f"kgen: {name}", analytics_enabled=False, delete_cache=(600, 3600)) as self.blocks:
            gr.Markdown(f"# {name}\nThe image is redrawn as you type, in English or Chinese.")
            with gr.Tab("Draw"):
                self._draw()
            with gr.Tab("Walk") as walk:
                self._walk(walk)
            with gr.Tab("Enhance"):
                self._enhance()
            with gr.Tab("Style"):
                self._style()

    def open(self, host: str = "127.0.0.1", port: int | None = None, share: bool = False) -> str:
        """Serves the page and returns its address.

        Raises:
            OSError: if the port is taken, or this machine does not have the address.
        """
        _check_address(host, port)
        self.drawing.warm_up()
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        # Fonts that every system has: Gradio's own themes may load theirs from the network.
        theme = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
        _, local, public = self.blocks.launch(
            server_name=host,
            server_port=port,
            share=share,
            inbrowser=False,
            prevent_thread_lock=True,
            quiet=True,
            ssr_mode=False,
            mcp_server=False,
            pwa=False,
            run_history=False,
            enable_monitoring=False,
            footer_links=[],
            max_file_size=_LARGEST_FILE,
            theme=theme,
            css=_CSS,
        )
        return public or local

    def close(self) -> None:
        """Stops the server."""
        self.blocks.close(verbose=False)

    # === Words ===
    def _draw(self):
        drawing = self.drawing
        with gr.Row():
            with gr.Column():
                first = self.prompts[0] if self.prompts else ""
                prompt = gr.Textbox(first, label="Prompt", autofocus=True, max_length=500, elem_id="prompt")
                with gr.Row():
                    seed = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=2**31 - 1, elem_id="seed")
                    more = gr.Button(f"{SEEDS} more seeds", elem_id="more")
                shown = drawing.remembers
                guidance = gr.Slider(0, 5, 1, step=0.25, label="Guidance", visible=shown, elem_id="guidance")
                negative = gr.Textbox(label="What not to show", visible=shown, max_length=500, elem_id="negative")
                with gr.Accordion("Finish", open=False):
                    sharpness = gr.Slider(0, 1, 0, step=0.05, label="Sharpen", elem_id="sharpen")
                    saturation = gr.Slider(0, 2, 1, step=0.05, label="Colour", elem_id="colour")
                    scale = gr.Radio([1, 2, 4], value=1, label="Scale factor", elem_id="scale")
                if self.prompts:
                    gr.Examples([[each] for each in self.prompts], prompt, label="Or try one of these")
            with gr.Column():
                image = gr.HTML(elem_id="image", elem_classes="kgen-image")

        def cell(asked: str) -> str:
            return drawing.cell(asked)

        # Its template does not depend on its value, so the images in it stay.
        made = {"html_template": '<div class="kgen-strip"></div>', "js_on_load": _STRIP, "server_functions": [cell]}
        strip = gr.HTML("", elem_id="strip", **made)
        inputs = [prompt, seed, negative, guidance, sharpness, saturation, scale]

        def draw(*given):
            return drawing.one(*given), drawing.strip(*given[:4])

        changes = [each.change for each in inputs] + [self.blocks.load]
        gr.on(changes, _kindly(draw), inputs, [image, strip], queue=False, **_LIVE)
        strip.select(_chosen, None, seed, **_LIVE)
        more.click(lambda seed: (seed or 0) + SEEDS, seed, seed, **_LIVE)

    def _walk(self, tab):
        first, second = [*self.prompts, "", ""][:2]
        with gr.Row():
            first = gr.Textbox(first, label="From", max_length=500, elem_id="from")
            second = gr.Textbox(second, label="To", max_length=500, elem_id="to")
            seed = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=2**31 - 1)
        place = gr.Slider(0, WALK_STEPS, 0, step=1, label="Position", elem_id="place")
        frames = gr.HTML(elem_id="walk")
        place.input(None, place, None, js=_STEP)
        changes = [tab.select, *(each.change for each in (first, second, seed))]
        gr.on(changes, _kindly(self.drawing.walk), [first, second, seed, place], frames, **_LIVE)

    # === Photographs ===
    def _enhance(self):
        with gr.Row():
            with gr.Column():
                task = gr.Radio(list(ENHANCERS), value=next(iter(ENHANCERS)), label="Task", elem_id="task")
                photo = _upload("Photograph", "photo")
                editor = gr.ImageEditor(
                    type="numpy",
                    sources=["upload", "clipboard"],
                    transforms=[],
                    brush=gr.Brush(default_size=24, colors=["#ff0080"], color_mode="fixed"),
                    layers=False,
                    label="Photograph: paint over the areas to fill in",
                    visible=False,
                    elem_id="editor",
                )
                gr.Markdown(_FILE_LIMIT)
                start = gr.Button("Enhance", variant="primary", elem_id="enhance")
            after = gr.ImageSlider(label="Before and after", format="png", elem_id="enhanced", interactive=False)

        def show(task):
            painted = ENHANCERS[task] == "inpaint_photo"
            return gr.update(visible=not painted), gr.update(visible=painted)

        task.change(show, task, [photo, editor], **_LIVE)
        start.click(_kindly(_enhanced), [task, photo, editor], after, **_ASKED)

    def _style(self):
        with gr.Row():
            content = _upload("Content image", "content")
            style = _upload("Style image", "style")
            after = gr.ImageSlider(label="Before and after", format="png", elem_id="styled", interactive=False)
        with gr.Row():
            strength = gr.Slider(0, 1, 1, step=0.05, label="Strength")
            texture = gr.Slider(0, 1, 0.65, step=0.05, label="Texture: from colours only to brush strokes")
            keep = gr.Checkbox(label="Keep the original colours")
        gr.Markdown(_FILE_LIMIT)
        start = gr.Button("Draw", variant="primary", elem_id="stylize")
        start.click(_kindly(_styled), [content, style, strength, texture, keep], after, **_ASKED)


def _upload(label, name):
    """An image that a visitor uploads. Gradio itself would open any path on this machine that a request names."""
    image = gr.Image(type="filepath", sources=["upload", "clipboard"], label=label, elem_id=name)
    preprocess, uploads = image.preprocess, Path(image.GRADIO_CACHE).resolve()

    def checked(payload):
        path = None if payload is None else payload.path
        if path and not Path(path).resolve().is_relative_to(uploads):
            raise gr.Error("This file was not uploaded here.", title="This did not work", print_exception=False)
        return preprocess(payload)

    image.preprocess = checked
    return image


def _check_address(host, port):
    """Refuses, in one line, what Gradio would try a hundred times."""
    try:
        socket.create_server((host, port or 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise OSError(f"port {port} is in use; choose another with --port.") from error
        raise OSError(f"cannot serve at {host}{f':{port}' if port else ''}: {error.strerror or error}.") from error


def _chosen(event: gr.EventData) -> int:
    return event.seed


def _enhanced(task, path, edited):
    if ENHANCERS[task] != "inpaint_photo":
        return demo_photos.enhance(task, demo_photos.photo(path))
    if edited is None or edited["background"] is None:
        return demo_photos.enhance(task, demo_photos.photo(None))
    painted = np.zeros(edited["background"].shape[:2], "uint8")
    for layer in edited["layers"]:
        painted |= layer[..., 3]
    image = demo_photos.smaller(np.ascontiguousarray(edited["background"][..., :3]))
    return demo_photos.enhance(task, image, demo_photos.smaller(painted))


def _styled(content, style, *options):
    read = demo_photos.photo(content), demo_photos.photo(style, "a style image")
    return demo_photos.stylize(*read, *options)


def _remembered(model):
    """Some of the prompts that a model remembers."""
    names = (model.memory.names if model.memory is not None else None) or []
    return list(names[:: max(1, len(names) // 4)][:4])


def _kindly(function):
    """The function, with errors meant for the visitor shown on the page in one line."""

    @functools.wraps(function)
    def call(*given):
        try:
            return function(*given)
        except (OSError, TypeError, ValueError) as error:
            raise gr.Error(str(error), title="This did not work", print_exception=False) from error

    return call
