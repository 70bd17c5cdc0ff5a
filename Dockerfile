# One image for both services: `docker run … oncelink web`, `docker run … oncelink download`.
# docker-compose.yml shows how to run them separately.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
COPY . .
# The caches outlive a build, so that a change in src/ doesn't rebuild the dependencies.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin oncelink \
    && install -D --strip target/release/oncelink /out/oncelink

FROM debian:bookworm-slim
# The download service needs the certificates to fetch its public keys over HTTPS.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin oncelink \
    && install -d -o oncelink -g oncelink -m 0700 /data /node-key /shares/home
COPY --from=build /out/oncelink /usr/local/bin/oncelink
USER 10001:10001
# A new volume mounted here inherits the folder's owner and mode.
VOLUME /data
WORKDIR /data
ENV ONCELINK_DATA_DIR=/data \
    ONCELINK_WEB__LISTEN=0.0.0.0:8080 \
    ONCELINK_DOWNLOAD__LISTEN=0.0.0.0:8081 \
    ONCELINK_LOG__FORMAT=json
EXPOSE 8080 8081
# On SIGTERM, running transfers may finish for at most `download.stop_timeout`.
STOPSIGNAL SIGTERM
# A container that runs only one service overrides this; see docker-compose.yml.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["/usr/local/bin/oncelink", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/oncelink"]
CMD ["serve"]
