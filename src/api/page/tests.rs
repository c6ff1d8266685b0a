use super::super::test_support::{Answer, send, state};
use super::super::{ApiConfig, http_router};
use super::*;
use flate2::read::GzDecoder;
use std::collections::BTreeSet;
use std::io::Read;

async fn get_with(config: ApiConfig, path: &str, headers: &[(&str, &str)]) -> Answer {
    send(&http_router(Arc::new(state(config))), "GET", path, headers).await
}

async fn get_plain(path: &str) -> Answer {
    get_with(ApiConfig::default(), path, &[]).await
}

fn files_below(directory: &std::path::Path, prefix: &str, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).expect("ui can be listed") {
        let entry = entry.expect("ui can be listed");
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        match entry.file_type().expect("a file").is_dir() {
            true => files_below(&entry.path(), &format!("{name}/"), found),
            false => drop(found.insert(name)),
        }
    }
}

#[test]
fn every_file_of_the_directory_is_embedded() {
    let mut there = BTreeSet::new();
    files_below(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("ui"), "", &mut there);
    // Of what is not code, only licences are given out.
    there.retain(|name| !["index.html", "package.json", "vendor/README.md", "vendor/SHA256SUMS"].contains(&name.as_str()));
    let embedded: BTreeSet<String> = ASSETS.iter().map(|asset| asset.path.to_string()).collect();
    assert_eq!(embedded, there, "src/api/page/assets.rs and ui/ differ");
    assert_eq!(embedded.len(), ASSETS.len(), "a file is listed twice");
}

#[test]
fn what_is_imported_is_embedded() {
    let known: BTreeSet<&str> = ASSETS.iter().map(|asset| asset.path).collect();
    for asset in ASSETS.iter().filter(|asset| asset.path.ends_with(".js")) {
        let text = std::str::from_utf8(asset.bytes).expect("UTF-8");
        let imports = text
            .lines()
            .filter(|line| line.starts_with("import ") || line.starts_with("} from "))
            .filter_map(|line| line.split('"').nth(1));
        let imports: Vec<&str> = imports.collect();
        for import in imports {
            let mut folders: Vec<&str> = asset.path.split('/').collect();
            folders.pop();
            for part in import.split('/') {
                match part {
                    "." => {}
                    ".." => drop(folders.pop()),
                    part => folders.push(part),
                }
            }
            assert!(known.contains(&*folders.join("/")), "{} imports {import}", asset.path);
        }
    }
}

#[tokio::test]
async fn the_start_page_and_its_files_are_served() {
    let page = get_plain("/").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert_eq!(page.header("cache-control"), "no-cache");
    assert_eq!(page.header("content-security-policy"), POLICY);
    assert!(!page.text().contains('@'), "a placeholder is left: {}", page.text());
    let references = page.text().split('"').filter(|text| text.starts_with("ui/"));
    let mut num_references = 0;
    for path in references {
        let file = get_plain(&format!("/{path}")).await;
        assert_eq!((file.status, file.header("x-content-type-options")), (200, "nosniff"), "{path}");
        assert_eq!(file.header("content-security-policy"), POLICY, "{path}");
        assert!(file.header("cache-control").contains("immutable"), "{path}");
        num_references += 1;
    }
    assert!(num_references > 2, "{}", page.text());
}

#[tokio::test]
async fn the_page_holds_no_script_of_its_own() {
    let page = get_plain("/").await;
    for script in page.text().split("<script").skip(1) {
        let (attributes, rest) = script.split_once('>').expect("a closed tag");
        assert!(attributes.contains("src=\"ui/") && rest.starts_with("</script>"), "{script}");
    }
    assert!(!page.text().contains("style=") && !page.text().contains("<style") && !page.text().contains(" on"), "{}", page.text());
}

#[tokio::test]
async fn a_known_file_is_not_sent_again() {
    let page = get_plain("/").await;
    let known = get_with(ApiConfig::default(), "/", &[("if-none-match", page.header("etag"))]).await;
    assert_eq!((known.status, known.body.len(), known.header("etag")), (304, 0, page.header("etag")));
    for (tag, status) in [("*", 304), ("\"other\"", 200), (&*format!("\"x\", {}", page.header("etag")), 304)] {
        assert_eq!(get_with(ApiConfig::default(), "/", &[("if-none-match", tag)]).await.status, status, "{tag}");
    }
}

#[tokio::test]
async fn files_are_compressed_for_those_who_can_read_it() {
    let path = format!("/ui/{}/main.js", version());
    let (plain, packed) = (get_plain(&path).await, get_with(ApiConfig::default(), &path, &[("accept-encoding", "gzip")]).await);
    assert_eq!((plain.header("content-encoding"), packed.header("content-encoding")), ("", "gzip"));
    assert_eq!(packed.header("content-type"), "text/javascript; charset=utf-8");
    let mut unpacked = Vec::new();
    GzDecoder::new(&*packed.body).read_to_end(&mut unpacked).expect("gzip");
    assert_eq!(unpacked, plain.body);
}

#[tokio::test]
async fn other_paths_and_versions_are_not_there() {
    let right = version();
    for path in [format!("/ui/{right}/none.js"), format!("/ui/{right}/../main.js"), "/ui/00000000/main.js".to_string(), "/ui/".to_string()]
    {
        assert_eq!(get_plain(&path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn the_page_moves_with_the_prefix_and_knows_the_other() {
    let config = ApiConfig {
        http_path_prefix: "/x/tr".to_string(),
        http_api_prefix: "/a\"<b".to_string(),
        multitenancy_enabled: true,
        ..Default::default()
    };
    assert_eq!(get_with(config.clone(), "/", &[]).await.status, 404);
    let page = get_with(config.clone(), "/x/tr/", &[]).await;
    assert!(page.text().contains("content=\"/a&quot;&lt;b\"") && page.text().contains("content=\"true\""), "{}", page.text());
    let redirect = get_with(config, "/x/tr", &[]).await;
    assert_eq!((redirect.status, redirect.header("location")), (307, "tr/"));
}
