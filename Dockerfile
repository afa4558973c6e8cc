# An image with the dbhaul binary and nothing else of ours.
#
#   docker build -t dbhaul --build-arg COMMIT="$(git log -1 --date=short --format='%h %cd')" .
#   docker run --rm dbhaul --help
#
# The repository's history is not in the build's context, so that the commit is an argument.
FROM rust:1.95-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends libclang-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /dbhaul
COPY . .
ARG COMMIT=""
RUN DBHAUL_COMMIT="$COMMIT" cargo build --release --locked -p dbhaul

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /dbhaul/target/release/dbhaul /usr/bin/dbhaul
COPY LICENSE-MIT LICENSE-APACHE /usr/share/doc/dbhaul/
# a job of Kubernetes that must not run as root asks for a number
USER 65534:65534
ENTRYPOINT ["/usr/bin/dbhaul"]
