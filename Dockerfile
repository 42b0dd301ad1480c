# neuralstyle on the CPU.  Build: docker build -t neuralstyle .
# Use: docker run --rm -v "$PWD:/pictures" neuralstyle stylize photo.jpg painting.jpg -o result.png

FROM python:3.11-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev git && rm -rf /var/lib/apt/lists/*
COPY . /source
RUN pip install --no-cache-dir build && NEURALSTYLE_REQUIRE_KERNEL=1 python -m build --wheel -o /wheels /source

FROM python:3.11-slim
# Where torch's CPU builds are; pytorch.org tells. Without it pip takes the build for CUDA, which is several gigabytes.
ARG TORCH_INDEX=""
COPY constraints.txt /tmp/
COPY --from=build /wheels /tmp/wheels
RUN pip install --no-cache-dir ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -c /tmp/constraints.txt torch torchvision \
    && pip install --no-cache-dir -c /tmp/constraints.txt /tmp/wheels/*.whl \
    && rm -r /tmp/wheels /tmp/constraints.txt \
    && useradd --create-home painter
USER painter
WORKDIR /pictures
ENTRYPOINT ["neuralstyle"]
CMD ["--help"]
