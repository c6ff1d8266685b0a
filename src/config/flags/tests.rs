use super::*;

fn parse(words: &[&str]) -> Result<Flags, ConfigError> {
    Flags::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
}

fn refusal(words: &[&str]) -> String {
    let error = parse(words).expect_err(&words.join(" "));
    assert_eq!(error.exit_code(), 2);
    error.to_string()
}

#[test]
fn every_spelling() {
    for words in [&["-config.file=/a"][..], &["--config.file=/a"][..], &["-config.file", "/a"][..], &["--config.file", "/a"][..]] {
        assert_eq!(parse(words).expect("good").config_file.as_deref(), Some("/a"), "{words:?}");
    }
    for (words, on) in [
        (&["-config.verify"][..], true),
        (&["-config.verify=true"][..], true),
        (&["--config.verify=f"][..], false),
        (&["-config.verify", "-config.verify=0"][..], false),
    ] {
        assert_eq!(parse(words).expect("good").verify, on, "{words:?}");
    }
    assert_eq!(parse(&["-config.file=a=b"]).expect("good").config_file.as_deref(), Some("a=b"));
}

#[test]
fn wrong_words_are_refused_as_go_does() {
    for (words, message) in [
        (&["-x"][..], "flag provided but not defined: -x"),
        (&["--x=1"][..], "flag provided but not defined: -x"),
        (&["-server.http-listen-prot=1"][..], "flag provided but not defined: -server.http-listen-prot"),
        (&["-storage.trace.nothing=1"][..], "flag provided but not defined: -storage.trace.nothing"),
        (&["-storage.trace.s3"][..], "flag provided but not defined: -storage.trace.s3"),
        (&["-config.file"][..], "flag needs an argument: -config.file"),
        (&["-server.http-listen-port"][..], "flag needs an argument: -server.http-listen-port"),
        (&["-config.verify=maybe"][..], "invalid boolean value \"maybe\" for -config.verify: parse error"),
        (&["-=x"][..], "bad flag syntax: -=x"),
        (&["---x"][..], "bad flag syntax: ---x"),
        (&["run"][..], "unexpected argument: run"),
        (&["-multitenancy.enabled", "true"][..], "unexpected argument: true"),
        (&["-version", "demo"][..], "unexpected argument: demo"),
        (&["demo", "doctor"][..], "unexpected argument: doctor"),
        (&["-"][..], "unexpected argument: -"),
        (&["--"][..], "unexpected argument: --"),
        (&[""][..], "unexpected argument: "),
        (&["-server.http-listen-port=many"][..], "invalid value \"many\" for flag -server.http-listen-port: "),
        (&["-log.level=loud"][..], "invalid value \"loud\" for flag -log.level: -log.level: unrecognized log level"),
        (&["-multitenancy.enabled=2"][..], "invalid value \"2\" for flag -multitenancy.enabled: "),
    ] {
        let found = refusal(words);
        assert!(found.starts_with(message), "{words:?}: {found}");
    }
}

#[test]
fn flags_of_every_generation_are_accepted() {
    for words in [
        &["-config.file=/conf/tempo.yaml", "-mem-ballast-size-mbs=1024"][..],
        &["-mem-ballast-size-mbs", "1024"][..],
        &["-target=all", "-http-api-prefix=/tempo", "-shutdown-delay=1m"][..],
        &["-enable-go-runtime-metrics", "-span-profiling=false", "-mutex-profile-fraction=1", "-block-profile-threshold", "2"][..],
        &["-memberlist.host-port=a:1", "-memberlist.bind-port=7946", "-memberlist.message-history-buffer-bytes=0"][..],
        &["-distributor.log-received-spans.enabled", "-distributor.log-received-spans.include-attributes=true"][..],
        &["-distributor.rate-limit-strategy=global", "-distributor.ingestion-burst-size-bytes", "5"][..],
        &["-ingester.trace-idle-period=5s", "-ingester.max-block-bytes=1000", "-ingester.availability-zone=a"][..],
        &["-ingester.max-bytes-per-trace=0", "-querier.max-bytes-per-tag-values-query=1"][..],
        &["-compactor.disabled", "-compactor.compaction.compaction-window=1h", "-compactor.compaction.max-block-bytes=1"][..],
        &["-storage.trace.pool.max-workers=1", "-storage.trace.maintenance-cycle=5m", "-storage.trace.s3.secret-key=x"][..],
        &["-storage.trace.blocklist_poll=5m", "-storage.trace.block.bloom-filter-false-positive=.05"][..],
        &["-live-store.max-trace-idle=1s", "-live-store.wal.path=/w", "-live-store.ring.any=thing"][..],
        &["-backend-worker.compaction.block-retention=1h", "-ingest.kafka.address=x", "-metrics-generator.ring.x=y"][..],
        &["-config.per-user-override-config=/x", "-config.per-user-override-period=10s", "-config.enable-legacy-overrides"][..],
        &["-reporting.enabled=false", "-query-frontend.mcp-server.enabled", "-querier.frontend-address=a:1"][..],
    ] {
        assert!(parse(words).is_ok(), "{words:?}: {:?}", parse(words).err());
    }
}

#[test]
fn every_key_in_the_table_of_flags_exists() {
    for flag in FLAGS {
        if let Act::Key(path) = flag.act {
            assert!(ROOT.find(path).is_some(), "-{}: {path}", flag.name);
        }
    }
}

#[test]
fn usage_names_what_matters() {
    let text = usage();
    assert!(text.contains("  -config.file\n") && text.contains("  -data.dir\n") && text.ends_with('\n'));
}
