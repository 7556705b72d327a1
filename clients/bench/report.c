/* SPDX-License-Identifier: MIT */
#include "clients/bench/report.h"

#include <inttypes.h>

#define BAR_LEN 30u

static double per_second(double amount, const struct rd_load_result *result)
{
    return result->seconds > 0 ? amount / result->seconds : 0;
}

static double mib_per_second(const struct rd_load_result *result)
{
    return per_second((double)result->value_bytes / (1 << 20), result);
}

static double quantile_us(const struct rd_load_result *result, double part)
{
    return (double)rd_histogram_quantile(&result->latency_ns, part) / 1000;
}

static double max_us(const struct rd_load_result *result)
{
    return (double)result->latency_ns.max / 1000;
}

void rd_report_text(const struct rd_options *options, const struct rd_load_result *result, FILE *to)
{
    const struct rd_plan *plan = &options->plan;
    const struct rd_endpoint *endpoint = &options->endpoint;
    fprintf(to, "%s, %s at %s: %u connections, depth %u", rd_options_op_name(plan->op),
            options->http ? "HTTP" : "binary protocol",
            endpoint->unix_path != NULL ? endpoint->unix_path : endpoint->server, plan->client_count, plan->depth);
    if (rd_plan_writes(plan))
        fprintf(to, ", values of %zu bytes", plan->value_len);
    if (rd_plan_batches(plan))
        fprintf(to, ", batches of %u", plan->batch_count);
    if (plan->rate != 0)
        fprintf(to, ", %g requests a second", plan->rate);
    fprintf(to, "\n  %-10s %" PRIu64 " in %.2f s", "ops", result->op_count, result->seconds);
    fprintf(to, "\n  %-10s %.0f, %.1f MiB/s", "per second", per_second((double)result->op_count, result),
            mib_per_second(result));
    fprintf(to, "\n  %-10s p50 %.1f  p99 %.1f  p99.9 %.1f  max %.1f us", "latency", quantile_us(result, 0.5),
            quantile_us(result, 0.99), quantile_us(result, 0.999), max_us(result));
    fprintf(to, "\n  %-10s %" PRIu64 "\n  %-10s %" PRIu64 "\n", "misses", result->miss_count, "errors",
            result->error_count);
}

void rd_report_json(const struct rd_options *options, const struct rd_load_result *result, FILE *to)
{
    fprintf(to,
            "{\"op\":\"%s\",\"ops\":%" PRIu64 ",\"errors\":%" PRIu64 ",\"misses\":%" PRIu64
            ",\"seconds\":%.6f,\"ops_per_sec\":%.1f,\"mib_per_sec\":%.3f,"
            "\"latency_us\":{\"p50\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":%.3f}}\n",
            rd_options_op_name(options->plan.op), result->op_count, result->error_count, result->miss_count,
            result->seconds, per_second((double)result->op_count, result), mib_per_second(result),
            quantile_us(result, 0.5), quantile_us(result, 0.99), quantile_us(result, 0.999), max_us(result));
}

static double part_done(const struct rd_plan *plan, const struct rd_load_result *so_far)
{
    double part = plan->seconds != 0 ? so_far->seconds / plan->seconds
                                     : (double)so_far->latency_ns.count / (double)plan->request_max;
    return part < 1 ? part : 1;
}

void rd_report_progress(const struct rd_plan *plan, const struct rd_load_result *so_far)
{
    char bar[BAR_LEN + 1] = "";
    unsigned filled = (unsigned)(part_done(plan, so_far) * BAR_LEN);
    for (unsigned i = 0; i < BAR_LEN; i++)
        bar[i] = i < filled ? '#' : '.';
    fprintf(stderr, "\r[%s] %.0f ops/s, p50 %.0f us, p99 %.0f us, %" PRIu64 " errors\033[K", bar,
            per_second((double)so_far->op_count, so_far), quantile_us(so_far, 0.5), quantile_us(so_far, 0.99),
            so_far->error_count);
    fflush(stderr);
}

void rd_report_progress_end(void)
{
    fputs("\r\033[K", stderr);
}
