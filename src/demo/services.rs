//! The services that send spans. The database, the cache, the queue and the card processor are seen only through the
//! spans of those that call them, as it is with most of their kind.

use super::attributes::text;
use crate::proto::otlp::{InstrumentationScope, Resource};

/// A program of the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Service {
    /// What browsers talk to.
    Frontend,
    /// What is for sale, and at what price.
    Catalog,
    /// What a customer has chosen so far.
    Cart,
    /// Turns a cart into an order.
    Checkout,
    /// Charges cards.
    Payment,
    /// Quotes and plans parcels.
    Shipping,
    /// Writes to customers.
    Email,
}

/// One running copy of a service: what makes a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Origin {
    /// The program.
    pub(super) service: Service,
    /// Which copy, an index into the pods of its profile.
    pub(super) pod: usize,
}

/// What is the same for every copy of a service.
struct Profile {
    name: &'static str,
    version: &'static str,
    language: &'static str,
    sdk_version: &'static str,
    /// Name of the instrumentation library.
    scope: &'static str,
    /// Name of the Kubernetes replica set, less the service's name.
    replica_set: &'static str,
    pods: &'static [&'static str],
}

const FRONTEND: Profile = Profile {
    name: "frontend",
    version: "2.14.0",
    language: "nodejs",
    sdk_version: "2.2.0",
    scope: "@opentelemetry/instrumentation-http",
    replica_set: "6f7c9d8b5",
    pods: &["h2x7k", "p9vtq", "zt4wm"],
};
const CATALOG: Profile = Profile {
    name: "catalog",
    version: "1.9.3",
    language: "go",
    sdk_version: "1.39.0",
    scope: "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp",
    replica_set: "7b58d4c6f9",
    pods: &["8l5nd", "wq2cj"],
};
const CART: Profile = Profile {
    name: "cart",
    version: "1.4.1",
    language: "dotnet",
    sdk_version: "1.14.0",
    scope: "Microsoft.AspNetCore",
    replica_set: "5d4f7b9c88",
    pods: &["k7r2s", "x6mfb"],
};
const CHECKOUT: Profile = Profile {
    name: "checkout",
    version: "3.2.0-rc.1",
    language: "java",
    sdk_version: "1.57.0",
    scope: "io.opentelemetry.tomcat-10.0",
    replica_set: "84c6bd57f4",
    pods: &["dj4tn", "q5zvl"],
};
const PAYMENT: Profile = Profile {
    name: "payment",
    version: "1.0.8",
    language: "java",
    sdk_version: "1.57.0",
    scope: "io.opentelemetry.grpc-1.6",
    replica_set: "69d8f7c5bd",
    pods: &["v8c4p"],
};
const SHIPPING: Profile = Profile {
    name: "shipping",
    version: "0.12.5",
    language: "rust",
    sdk_version: "0.33.0",
    scope: "tracing-opentelemetry",
    replica_set: "575c9f8b6d",
    pods: &["m3wxg"],
};
const EMAIL: Profile = Profile {
    name: "email",
    version: "0.7.2",
    language: "python",
    sdk_version: "1.39.0",
    scope: "opentelemetry.instrumentation.confluent_kafka",
    replica_set: "bc8d6f475",
    pods: &["r9j6h"],
};

impl Service {
    /// Every service.
    #[cfg(test)]
    pub(super) const ALL: [Service; 7] =
        [Service::Frontend, Service::Catalog, Service::Cart, Service::Checkout, Service::Payment, Service::Shipping, Service::Email];

    /// What `service.name` says, which is its host name in the cluster, too.
    pub(super) fn name(self) -> &'static str {
        self.profile().name
    }

    /// How many copies run, at least one.
    pub(super) fn num_pods(self) -> usize {
        self.profile().pods.len()
    }

    fn profile(self) -> &'static Profile {
        match self {
            Service::Frontend => &FRONTEND,
            Service::Catalog => &CATALOG,
            Service::Cart => &CART,
            Service::Checkout => &CHECKOUT,
            Service::Payment => &PAYMENT,
            Service::Shipping => &SHIPPING,
            Service::Email => &EMAIL,
        }
    }
}

impl Origin {
    /// What the SDK of this copy says of itself.
    pub(super) fn resource(self) -> Resource {
        let profile = self.service.profile();
        let pod = format!("{}-{}-{}", profile.name, profile.replica_set, profile.pods[self.pod]);
        let attributes = vec![
            text("service.name", profile.name),
            text("service.namespace", "shop"),
            text("service.version", profile.version),
            text("service.instance.id", pod.as_str()),
            text("deployment.environment", "demo"),
            text("cloud.region", "eu-central-1"),
            text("k8s.cluster.name", "shop-demo"),
            text("k8s.namespace.name", "shop"),
            text("k8s.deployment.name", profile.name),
            text("k8s.container.name", profile.name),
            text("k8s.pod.name", pod),
            text("telemetry.sdk.language", profile.language),
            text("telemetry.sdk.name", "opentelemetry"),
            text("telemetry.sdk.version", profile.sdk_version),
        ];
        Resource { attributes, ..Resource::default() }
    }

    /// The library that made this copy's spans.
    pub(super) fn scope(self) -> InstrumentationScope {
        InstrumentationScope { name: self.service.profile().scope.to_owned(), ..InstrumentationScope::default() }
    }
}
