//! Placeholder until the demo lands.
/// Placeholder.
pub async fn run(_: crate::distributor::Distributor, _: crate::model::TenantId) {}
