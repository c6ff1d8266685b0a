# Conmoto in a container, with the habits of the image grafana/tempo: arguments only, user 10001, /tempo.
#
#   docker build -t conmoto .
#   docker run -p 3200:3200 -p 4317:4317 -p 4318:4318 -p 9411:9411 -v conmoto-data:/var/conmoto conmoto
#   docker run -p 3200:3200 conmoto demo
#   docker run -p 3200:3200 -v ./tempo.yaml:/config.yaml:ro conmoto -config.file /config.yaml

# The builder has the Debian of the image below: a newer one has a newer glibc, and the program would not start.
FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /build
# No cache mounts, no files made up to warm the cache: this also builds with an engine that has no BuildKit.
COPY . .
# The image of Rust brings the C compiler that zstd needs; everything else is Rust, the compiler of the .proto files, too.
ENV CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_PROFILE_RELEASE_STRIP=symbols
RUN cargo build --release --locked --bin conmoto


FROM debian:bookworm-slim
# Numbers as in Tempo's image, so that a volume prepared for it can be written to.
RUN groupadd --gid 10001 conmoto \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/conmoto --shell /usr/sbin/nologin conmoto
# What a fresh named volume is mounted over gives it its owner, so nothing has to be chowned later. The second line is where
# Tempo's configuration files keep their data. /tempo is its program. And /conmoto-data is the data directory that the program
# uses unless told otherwise, as seen from /: a default of `-data.dir` among the arguments would have to stand behind `demo`.
RUN install --directory --owner=10001 --group=10001 /var/conmoto \
      /var/tempo /tmp/tempo \
 && ln -s /usr/local/bin/conmoto /tempo \
 && ln -s /var/conmoto /conmoto-data
# The authorities that sign certificates of S3, GCS and Azure; the slim image has none.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /build/LICENSE /usr/share/doc/conmoto/LICENSE
COPY --from=build /build/target/release/conmoto /usr/local/bin/conmoto

# A number, as Kubernetes (`runAsNonRoot`) cannot tell from a name whether it is root.
USER 10001:10001
WORKDIR /
# Also without a volume of the user's, what was acknowledged outlives the container. /var/tempo is here because a
# configuration file that names no `wal.path` has its WAL there.
VOLUME ["/var/conmoto", "/var/tempo"]
# HTTP API (with gRPC), gRPC, OTLP over gRPC and over HTTP, Zipkin
EXPOSE 3200 9095 4317 4318 9411 14250 14268 6831/udp 6832/udp
# By number: `localhost` may be ::1 first, where a server on 0.0.0.0 does not listen. With a `http_listen_port` of its own, a
# configuration needs a health check of its own, as `healthcheck:` in a compose file.
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s --retries=3 \
  CMD ["/usr/local/bin/conmoto", "-health", "-health.url=http://127.0.0.1:3200/ready"]
ENTRYPOINT ["/usr/local/bin/conmoto"]
