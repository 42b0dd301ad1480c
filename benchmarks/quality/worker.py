"""One picture, painted and measured in a process of its own: python worker.py JOB.json, which says where to answer."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if job["threads"]:
        os.environ["OMP_NUM_THREADS"] = str(job["threads"])  # before torch is loaded
    import torch
    from methods import Job, paint

    started, seconds = job["started"], job["seconds"]
    picture = Path(job["picture"])
    found = paint(
        Job(
            method=job["method"],
            content=Path(job["content"]),
            style=Path(job["style"]),
            size=job["size"],
            content_weight=job["content_weight"],
            deadline=None if seconds is None else started + seconds,
        ),
        picture,
    )
    found["seconds"] = time.time() - started
    found["curve"] = [(moment - started, loss) for moment, loss in found.get("curve", ())]
    # What follows is outside the time: pastiche's process has not loaded neuralstyle before.
    from neuralstyle import DEFAULT_LOSSES, Objective, default_encoder, load_image
    from neuralstyle.metrics import compare

    scores = compare(job["content"], job["style"], {"": picture})[""]
    content, style, image = (load_image(file) for file in (job["content"], job["style"], picture))
    objective = Objective(default_encoder(), DEFAULT_LOSSES, content=content, styles=[style])
    value = objective.evaluate(image, with_gradient=False).loss
    answer = found | {"threads": torch.get_num_threads(), "torch": torch.__version__, "scores": asdict(scores)}
    answer["objective"] = value
    Path(job["answer"]).write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main()
