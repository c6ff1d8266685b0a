//! The resource of a group of v2 spans: its service, and the tags that describe where the service runs.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::attributes::text_attribute;
use super::model::ZipkinSpan;
use crate::proto::otlp::Resource;

/// The attribute with the name of the service.
const SERVICE_NAME: &str = "service.name";

/// The tag that names another attribute for the endpoint's service name.
const SERVICE_NAME_SOURCE: &str = "otlp.service.name.source";

/// Builds the resource of `spans`, which all come from one service, and takes out of their tags what it holds.
///
/// The first span decides. Tags of other spans that say something else stay on their span, where Tempo drops them; so do
/// all tags when there is no service name, in which case the resource is empty (spec/ingest.md §4.4).
pub(super) fn take(spans: &mut [ZipkinSpan<'_>]) -> Resource {
    let Some((first, others)) = spans.split_first_mut().filter(|(first, _)| !first.local_endpoint.service_name.is_empty()) else {
        return Resource::default();
    };
    let moved: BTreeMap<_, _> = first.tags.take(|key, _| is_resource_tag(key)).into_iter().collect();
    if !moved.is_empty() {
        for span in others {
            span.tags.take(|key, text| moved.get(key).is_some_and(|moved| moved == text));
        }
    }
    attributes(&first.local_endpoint.service_name, moved)
}

fn attributes<'a>(service_name: &'a str, mut tags: BTreeMap<Cow<'a, str>, Cow<'a, str>>) -> Resource {
    let name_key = tags.remove(SERVICE_NAME_SOURCE).filter(|key| !key.is_empty()).unwrap_or(Cow::Borrowed(SERVICE_NAME));
    // A tag of the same key says more about the service than the endpoint does.
    tags.entry(name_key).or_insert(Cow::Borrowed(service_name));
    Resource { attributes: tags.into_iter().map(|(key, text)| text_attribute(key, text)).collect(), ..Resource::default() }
}

/// True for tags that belong to the resource.
fn is_resource_tag(key: &str) -> bool {
    key == SERVICE_NAME_SOURCE || RESOURCE_TAGS.binary_search(&key).is_ok()
}

/// The list of spec/ingest.md §4.4, sorted.
#[rustfmt::skip]
const RESOURCE_TAGS: &[&str] = &[
    "aws.ecs.cluster.arn", "aws.ecs.container.arn", "aws.ecs.launchtype", "aws.ecs.task.arn", "aws.ecs.task.family",
    "aws.ecs.task.revision", "aws.eks.cluster.arn", "aws.log.group.arns", "aws.log.group.names", "aws.log.stream.arns",
    "aws.log.stream.names", "cloud.account.id", "cloud.availability_zone", "cloud.platform", "cloud.provider", "cloud.region",
    "container.id", "container.image.name", "container.image.tag", "container.name", "container.runtime", "deployment.environment",
    "device.id", "device.manufacturer", "device.model.identifier", "device.model.name", "faas.id", "faas.instance", "faas.max_memory",
    "faas.name", "faas.version", "host.arch", "host.id", "host.image.id", "host.image.name", "host.image.version", "host.name",
    "host.type", "k8s.cluster.name", "k8s.container.name", "k8s.container.restart_count", "k8s.cronjob.name", "k8s.cronjob.uid",
    "k8s.daemonset.name", "k8s.daemonset.uid", "k8s.deployment.name", "k8s.deployment.uid", "k8s.job.name", "k8s.job.uid",
    "k8s.namespace.name", "k8s.node.name", "k8s.node.uid", "k8s.pod.name", "k8s.pod.uid", "k8s.replicaset.name", "k8s.replicaset.uid",
    "k8s.statefulset.name", "k8s.statefulset.uid", "opencensus.exporterversion", "opencensus.resourcetype", "opencensus.starttime",
    "os.description", "os.name", "os.type", "os.version", "process.command", "process.command_args", "process.command_line",
    "process.executable.name", "process.executable.path", "process.owner", "process.pid", "process.runtime.description",
    "process.runtime.name", "process.runtime.version", "service.instance.id", "service.name", "service.namespace", "service.version",
    "telemetry.auto.version", "telemetry.sdk.language", "telemetry.sdk.name", "telemetry.sdk.version", "webengine.description",
    "webengine.name", "webengine.version",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_for_its_search() {
        assert!(RESOURCE_TAGS.is_sorted());
        assert!(is_resource_tag("k8s.statefulset.uid") && !is_resource_tag("http.path"));
    }
}
