//! What an answer of a bucket means, and what to do about it.
//!
//! The client gives errors as text: the service's XML or JSON inside a sentence, or the chain of reasons why there was no
//! answer. Known phrases are looked for; an answer that has none is shown as it is.

use super::backend::{Place, Service};
use super::probe::Step;
use std::error::Error;
use std::time::SystemTime;

/// An error and everything behind it, as one text without repetitions.
pub(super) fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        source = inner.source();
    }
    text
}

/// What to do about an answer; `None` if it is not a known one.
pub(super) fn explain(place: &Place, step: Step, answer: &str, clocks: Clocks) -> Option<String> {
    without_answer(place, answer).or_else(|| by_code(place, step, answer, clocks)).or_else(|| by_status(place, step, answer))
}

/// The moment of an answer, here and there.
#[derive(Clone, Copy)]
pub(super) struct Clocks {
    pub here: SystemTime,
    /// Unknown if the service did not say.
    pub there: Option<SystemTime>,
}

/// Failures before the service could say anything.
fn without_answer(place: &Place, answer: &str) -> Option<String> {
    let endpoint = &place.endpoint;
    let section = section(place.service);
    let has = |phrase: &str| answer.contains(phrase);
    Some(match () {
        () if has("169.254.169.254") || has("169.254.170.2") || has("metadata.google.internal") => format!(
            "no credentials were found, and {} gave none either: {}",
            place.credentials,
            match place.service {
                Service::S3 => "set storage.trace.s3.access_key and secret_key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
                Service::Gcs => "set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account",
                Service::Azure => "set storage.trace.azure.storage_account_key",
            }
        ),
        () if has("failed to lookup address") || has("dns error") || has("Name or service not known") => {
            format!("the name in {endpoint} cannot be resolved: correct {section}.{}", endpoint_key(place.service))
        }
        () if has("Connection refused") => {
            format!("nothing listens at {endpoint}: correct {section}.{}, or start the service", endpoint_key(place.service))
        }
        () if has("InvalidContentType") || has("WRONG_VERSION_NUMBER") || has("corrupt message") => {
            format!("{endpoint} does not speak TLS: set {section}.insecure: true, or give the port that does")
        }
        () if has("HTTP request to an HTTPS server")
            || has("plain HTTP request was sent to HTTPS port")
            || has("invalid HTTP version parsed") =>
        {
            format!("{endpoint} wants TLS: set {section}.insecure: false")
        }
        () if has("UnknownIssuer") || has("invalid peer certificate") || has("NotValidForName") || has("No CA certificates") => format!(
            "the certificate of {endpoint} is not trusted: give its authority with {section}.tls_ca_path, or the name it is made out to as endpoint"
        ),
        () if has("operation timed out") || has("deadline has elapsed") => {
            format!("{endpoint} does not answer: a firewall may be in between, or the address is wrong")
        }
        () => return None,
    })
}

/// The codes of S3, which GCS has too; Azure's differ in name.
fn by_code(place: &Place, step: Step, answer: &str, clocks: Clocks) -> Option<String> {
    let bucket = &place.bucket;
    let section = section(place.service);
    let code = element(answer, "Code")?;
    Some(match code {
        "NoSuchBucket" | "ContainerNotFound" => {
            format!("there is no bucket {bucket}: make it, or correct {section}.{}", bucket_key(place.service))
        }
        "InvalidAccessKeyId" | "NotSignedUp" => {
            format!("the access key, which is from {}, is not known: correct {section}.access_key", place.credentials)
        }
        "SignatureDoesNotMatch" => format!(
            "the secret does not belong to the access key, which is from {}: correct {section}.secret_key (a region or proxy that \
             changes requests has the same effect; this server signs for {})",
            place.credentials, place.region
        ),
        "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" => {
            format!("the session token from {} has expired or is not valid", place.credentials)
        }
        "RequestTimeTooSkewed" => skewed(clocks),
        "AuthorizationHeaderMalformed" | "PermanentRedirect" | "IllegalLocationConstraintException" => wrong_region(place, answer),
        "AccessDenied" | "AuthorizationFailure" | "AuthorizationPermissionMismatch" | "AllAccessDisabled" => denied(place, step),
        "KMS.NotFoundException" | "KMS.DisabledException" => format!("the key of {section}.sse.kms_key_id cannot be used"),
        "InvalidStorageClass" => format!("the service has no storage class as {section}.storage_class names it"),
        "QuotaExceeded" | "XMinioStorageFull" => format!("bucket {bucket} is full"),
        _ => return None,
    })
}

fn by_status(place: &Place, step: Step, answer: &str) -> Option<String> {
    Some(match () {
        () if answer.contains("normally indicates an incorrectly configured region") => wrong_region(place, answer),
        () if answer.contains("301 Moved Permanently") || answer.contains("307 Temporary Redirect") => wrong_region(place, answer),
        () if answer.contains("403 Forbidden") => denied(place, step),
        () if answer.contains("401 Unauthorized") => format!("the credentials from {} are not accepted", place.credentials),
        () => return None,
    })
}

fn denied(place: &Place, step: Step) -> String {
    let objects = match place.prefix.as_str() {
        "" => format!("{}/*", place.bucket),
        prefix => format!("{}/{prefix}/*", place.bucket),
    };
    let on = if step == Step::List { &place.bucket } else { &objects };
    let permission = step.permission(place.service);
    match place.service {
        Service::S3 => format!("the access key, which is from {}, may not {permission} on arn:aws:s3:::{on}: allow it", place.credentials),
        Service::Gcs => format!("the account may not {permission} on {on}: allow it"),
        Service::Azure => format!("the account has no right to do so: give it {permission} on {}", place.bucket),
    }
}

fn wrong_region(place: &Place, answer: &str) -> String {
    let named = element(answer, "Region").map(|region| format!(" {region}")).unwrap_or_default();
    let endpoint = element(answer, "Endpoint").map(|endpoint| format!(", endpoint {endpoint}")).unwrap_or_default();
    let section = section(place.service);
    format!(
        "bucket {} is in another region than {}: set {section}.region to that of the bucket{named}{endpoint}",
        place.bucket, place.region
    )
}

fn skewed(Clocks { here, there }: Clocks) -> String {
    let shown = httpdate::fmt_http_date;
    let there = there.map_or("unknown".to_owned(), shown);
    format!("the clocks differ too much: here it is {}, there it is {there}: set the clock of this machine (NTP)", shown(here))
}

/// The text of an XML element in an answer.
fn element<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = answer.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text.trim()).filter(|text| !text.is_empty())
}

fn section(service: Service) -> &'static str {
    match service {
        Service::S3 => "storage.trace.s3",
        Service::Gcs => "storage.trace.gcs",
        Service::Azure => "storage.trace.azure",
    }
}

fn endpoint_key(service: Service) -> &'static str {
    if service == Service::Azure { "endpoint_suffix" } else { "endpoint" }
}

fn bucket_key(service: Service) -> &'static str {
    match service {
        Service::S3 => "bucket",
        Service::Gcs => "bucket_name",
        Service::Azure => "container_name",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place {
            service: Service::S3,
            bucket: "traces".to_owned(),
            prefix: "prod".to_owned(),
            endpoint: "https://minio:9000".to_owned(),
            region: "us-east-1".to_owned(),
            credentials: "AWS_ACCESS_KEY_ID".to_owned(),
        }
    }

    fn clocks() -> Clocks {
        let here = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(784_111_777);
        Clocks { here, there: Some(here + std::time::Duration::from_secs(3600)) }
    }

    /// The answer must say all of it.
    fn assert_explained(step: Step, answer: &str, expected: &[&str]) {
        let fix = explain(&place(), step, answer, clocks()).unwrap_or_else(|| panic!("not explained: {answer}"));
        assert!(expected.iter().all(|text| fix.contains(text)), "{fix}");
    }

    /// Bodies as AWS's reference of error responses and MinIO have them.
    fn body(status: &str, code: &str, more: &str) -> String {
        format!("Server returned non-2xx status code: {status}: <Error><Code>{code}</Code><Message>x</Message>{more}</Error>")
    }

    #[test]
    fn each_missing_right_is_named() {
        let denied = body("403 Forbidden", "AccessDenied", "");
        for (step, expected) in [
            (Step::Put, "s3:PutObject on arn:aws:s3:::traces/prod/*"),
            (Step::Get, "s3:GetObject on arn:aws:s3:::traces/prod/*"),
            (Step::GetRange, "s3:GetObject on arn:aws:s3:::traces/prod/*"),
            (Step::List, "s3:ListBucket on arn:aws:s3:::traces:"),
            (Step::Delete, "s3:DeleteObject on arn:aws:s3:::traces/prod/*"),
        ] {
            assert_explained(step, &denied, &[expected, "AWS_ACCESS_KEY_ID"]);
        }
    }

    #[test]
    fn codes_become_advice() {
        assert_explained(Step::Put, &body("404 Not Found", "NoSuchBucket", ""), &["no bucket traces", "storage.trace.s3.bucket"]);
        assert_explained(Step::Put, &body("403 Forbidden", "InvalidAccessKeyId", ""), &["AWS_ACCESS_KEY_ID, is not known"]);
        assert_explained(Step::Put, &body("403 Forbidden", "SignatureDoesNotMatch", ""), &["secret_key", "us-east-1"]);
        // The first is the example of RFC 9110 §5.6.7.
        let shown = ["here it is Sun, 06 Nov 1994 08:49:37 GMT", "there it is Sun, 06 Nov 1994 09:49:37 GMT"];
        assert_explained(Step::Put, &body("403 Forbidden", "RequestTimeTooSkewed", ""), &shown);
        let region = "<Region>eu-west-1</Region>";
        assert_explained(Step::Put, &body("400 Bad Request", "AuthorizationHeaderMalformed", region), &["region", "bucket eu-west-1"]);
        assert_explained(
            Step::Put,
            "Received redirect without LOCATION, this normally indicates an incorrectly configured region",
            &["region"],
        );
        assert_eq!(explain(&place(), Step::Put, &body("418", "Teapot", ""), clocks()), None);
    }

    #[test]
    fn failures_without_an_answer_become_advice() {
        for (answer, expected) in [
            ("dns error: failed to lookup address information: Name or service not known", "cannot be resolved"),
            ("tcp connect error: Connection refused (os error 111)", "nothing listens at https://minio:9000"),
            ("received corrupt message of type InvalidContentType", "insecure: true"),
            ("400 Bad Request: Client sent an HTTP request to an HTTPS server.", "insecure: false"),
            ("invalid peer certificate: UnknownIssuer", "tls_ca_path"),
            ("Error performing PUT http://169.254.169.254/latest/api/token", "access_key"),
        ] {
            assert_explained(Step::Put, answer, &[expected]);
        }
    }
}
