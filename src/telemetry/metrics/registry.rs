//! How a line of the table in `names` becomes a metric that a registry knows.

use prometheus::core::Collector;
use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

use crate::telemetry::names::Metric;

pub(super) fn counter(registry: &Registry, metric: &Metric) -> IntCounter {
    registered(registry, IntCounter::with_opts(opts(metric)))
}

pub(super) fn counters(registry: &Registry, metric: &Metric) -> IntCounterVec {
    registered(registry, IntCounterVec::new(opts(metric), metric.labels))
}

pub(super) fn gauge(registry: &Registry, metric: &Metric) -> IntGauge {
    registered(registry, IntGauge::with_opts(opts(metric)))
}

pub(super) fn timestamp(registry: &Registry, metric: &Metric) -> Gauge {
    registered(registry, Gauge::with_opts(opts(metric)))
}

pub(super) fn gauges(registry: &Registry, metric: &Metric) -> IntGaugeVec {
    registered(registry, IntGaugeVec::new(opts(metric), metric.labels))
}

pub(super) fn histogram(registry: &Registry, metric: &Metric) -> Histogram {
    registered(registry, Histogram::with_opts(histogram_opts(metric)))
}

pub(super) fn histograms(registry: &Registry, metric: &Metric) -> HistogramVec {
    registered(registry, HistogramVec::new(histogram_opts(metric), metric.labels))
}

fn opts(metric: &Metric) -> Opts {
    Opts::new(metric.name, metric.help)
}

fn histogram_opts(metric: &Metric) -> HistogramOpts {
    HistogramOpts::new(metric.name, metric.help).buckets(metric.buckets.to_vec())
}

#[expect(
    clippy::expect_used,
    reason = "INVARIANT: the table in `names` is valid and without duplicates; a test builds it"
)]
fn registered<C: Collector + Clone + 'static>(registry: &Registry, collector: prometheus::Result<C>) -> C {
    let collector = collector.expect("a valid metric");
    register(registry, collector.clone());
    collector
}

#[expect(
    clippy::expect_used,
    reason = "INVARIANT: the table in `names` is valid and without duplicates; a test builds it"
)]
pub(super) fn register(registry: &Registry, collector: impl Collector + 'static) {
    registry.register(Box::new(collector)).expect("a metric of its own");
}
