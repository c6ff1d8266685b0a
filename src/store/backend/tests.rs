use super::*;
use crate::store::settings::Secret;

fn s3_settings() -> S3Settings {
    S3Settings { bucket: "traces".to_owned(), access_key: "id".to_owned(), secret_key: Secret::new("secret"), ..S3Settings::default() }
}

fn nothing(_: &str) -> Option<String> {
    None
}

#[test]
fn the_bucket_is_addressed_as_its_service_wants_it() {
    for (endpoint, lookup, insecure, bucket, expected) in [
        ("", BucketLookup::Auto, false, "b", "https://b.s3.eu-west-1.amazonaws.com"),
        ("s3.eu-west-1.amazonaws.com", BucketLookup::Auto, false, "b", "https://b.s3.eu-west-1.amazonaws.com"),
        ("s3.eu-west-1.amazonaws.com", BucketLookup::Auto, false, "b.c", "https://s3.eu-west-1.amazonaws.com"),
        ("s3.eu-west-1.amazonaws.com", BucketLookup::Path, false, "b", "https://s3.eu-west-1.amazonaws.com"),
        ("minio:9000", BucketLookup::Auto, true, "b", "http://minio:9000"),
        ("minio:9000", BucketLookup::HostName, true, "b", "http://b.minio:9000"),
    ] {
        let settings = S3Settings { endpoint: endpoint.to_owned(), lookup, insecure, bucket: bucket.to_owned(), ..s3_settings() };
        assert_eq!(address(&settings, "eu-west-1").endpoint, expected, "{endpoint} {lookup:?}");
    }
}

#[test]
fn the_region_is_taken_from_settings_endpoint_environment() {
    let env = |name: &str| (name == "AWS_REGION").then(|| "ap-south-1".to_owned());
    for (given, endpoint, expected) in [
        ("eu-north-1", "s3.us-west-2.amazonaws.com", "eu-north-1"),
        ("", "s3.us-west-2.amazonaws.com", "us-west-2"),
        ("", "s3-us-west-2.amazonaws.com", "us-west-2"),
        ("", "s3.dualstack.us-west-2.amazonaws.com", "us-west-2"),
        ("", "s3.amazonaws.com", "ap-south-1"),
        ("", "minio:9000", "ap-south-1"),
    ] {
        let settings = S3Settings { region: given.to_owned(), endpoint: endpoint.to_owned(), ..s3_settings() };
        assert_eq!(region(&settings, &env), expected, "{given} {endpoint}");
    }
    assert_eq!(region(&s3_settings(), &nothing), "us-east-1");
}

#[test]
fn every_kind_of_bucket_is_built_without_a_network() {
    let s3 = S3Settings {
        prefix: "/a/b/".to_owned(),
        endpoint: "minio:9000".to_owned(),
        insecure: true,
        storage_class: "STANDARD_IA".to_owned(),
        tags: [("team".to_owned(), "x".to_owned())].into(),
        ..s3_settings()
    };
    let bucket = Bucket::new(&BucketSettings::S3(s3), &nothing).expect("complete");
    assert_eq!(bucket.place().to_string(), "bucket traces/a/b at http://minio:9000");
    assert_eq!(bucket.labels.tags.encoded(), "team=x");
    assert_eq!(bucket.labels.attributes.get(&Attribute::StorageClass).map(AsRef::as_ref), Some("STANDARD_IA"));

    let gcs = GcsSettings { bucket: "traces".to_owned(), endpoint: "gcs:4443".to_owned(), insecure: true, ..GcsSettings::default() };
    let bucket = Bucket::new(&BucketSettings::Gcs(gcs), &nothing).expect("complete");
    assert_eq!(bucket.place().to_string(), "bucket traces at http://gcs:4443");

    let azure = AzureSettings { container: "traces".to_owned(), account_key: Secret::new("c2VjcmV0"), ..AzureSettings::default() };
    let refused = Bucket::new(&BucketSettings::Azure(azure.clone()), &nothing).err().expect("no account").to_string();
    assert!(refused.contains("storage_account_name"), "{refused}");
    let env = |name: &str| (name == "AZURE_STORAGE_ACCOUNT").then(|| "acme".to_owned());
    let bucket = Bucket::new(&BucketSettings::Azure(azure), &env).expect("complete");
    assert_eq!(bucket.place().to_string(), "bucket traces at https://acme.blob.core.windows.net");
}

#[test]
fn settings_that_cannot_be_served_name_their_key() {
    let short = S3Settings { encryption: Encryption::Customer(Secret::new("short")), ..s3_settings() };
    let refused = Bucket::new(&BucketSettings::S3(short), &nothing).err().expect("refused").to_string();
    assert!(refused.contains("sse.encryption_key") && !refused.contains("short"), "{refused}");
    let missing = S3Settings { ca_path: Some("/nowhere/ca.pem".into()), ..s3_settings() };
    let refused = Bucket::new(&BucketSettings::S3(missing), &nothing).err().expect("refused").to_string();
    assert!(refused.contains("tls_ca_path /nowhere/ca.pem"), "{refused}");
}
