"""A backup that knows which run it belongs to."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import keras

from kgen.files import write_whole


class RunBackup(keras.callbacks.BackupAndRestore):
    """A backup from which only the run that made it goes on.

    `keras.callbacks.BackupAndRestore` continues with whatever lies in its directory, be it of other images or of
    another length. This one writes down in `run.json` what is trained on, before training begins, and refuses a
    directory that says something else. The file stays when training has ended: the results beside it are that run's.

    Args:
        directory: for `run.json` and, while training runs, `backup/`; it is created.
        run: dict of all that makes a run what it is: its data, sizes, steps, seed. Strings, numbers, lists, dicts.
        **kwargs: of `keras.callbacks.BackupAndRestore`, such as `save_freq`.

    Raises:
        FileExistsError: if the directory belongs to another run, or there is a backup of an unknown one.

    Example:

    ```python
    backup = kgen.callbacks.RunBackup("results", {"images": "my_images", "epochs": 50})
    model.fit(images, epochs=50, callbacks=[backup])
    ```
    """

    def __init__(self, directory: str | os.PathLike, run: dict[str, Any], **kwargs: Any):
        directory = Path(directory)
        known, backup = directory / "run.json", directory / "backup"
        # As it comes back from the file: with lists for tuples.
        run = json.loads(json.dumps(run))
        advice = "Give another directory, or delete this one to begin anew."
        if known.exists():
            before = json.loads(known.read_text(encoding="utf-8"))
            others = [name for name in {**before, **run} if before.get(name) != run.get(name)]
            if others:
                told, now = ({name: each.get(name) for name in others} for each in (before, run))
                raise FileExistsError(f"RunBackup: {str(directory)!r} is of a run with {told}, not {now}. {advice}")
        elif backup.exists():
            raise FileExistsError(f"RunBackup: nobody knows which run left the backup in {str(directory)!r}. {advice}")
        directory.mkdir(parents=True, exist_ok=True)
        write_whole(known, json.dumps(run, indent=2, ensure_ascii=False) + "\n")
        super().__init__(str(backup), **kwargs)
