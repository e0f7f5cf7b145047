# An image in which `make repro` runs. It was written without Docker at hand: nobody has built it yet.
#
#   docker build -t lipnet .                # in a clone; needs about 6 GB of disk
#   docker run --name lipnet lipnet         # runs the pipeline
#   docker cp lipnet:/lipnet/metrics .      # copies results out of the container; plots likewise
FROM python:3.11-slim

RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ git make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /lipnet

# The locked packages come first: Docker installs them again only if the lock file changes.
COPY requirements.lock .
RUN python -m venv .venv && .venv/bin/pip install --quiet --no-cache-dir --require-hashes -r requirements.lock

# With .git, because DVC works in git repositories only.
COPY . .
RUN make .venv/requirements.lock.installed
CMD ["make", "repro"]
