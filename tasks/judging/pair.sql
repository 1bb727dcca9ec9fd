-- What both orders of a pair say: rows of the check <name>, and <name>_win_rate for every sample.
--
-- A judgement of [A, B] is about A. Each order's opinion is the mean of its judgements (1 for A, 0 for
-- B, 0.5 for a tie); P(A beats B) is the mean of both orders' if they agree (label win, loss, tie).
-- Orders that contradict each other give the label 'inconsistent' and 0.5, no value where
-- `inconsistent` is 'abstain', or the mean of both where it is 'mean'. Where an order has no readable
-- judgement the pair has no value and detail.failure = 'order_missing'; where the engine failed on all
-- of it, the status is 'error'.
-- Every pair has two rows, one about each sample. A win rate is the mean over the pairs with a value.
-- Reads scores. Gives the columns of `scores`, by check and sample.
-- Parameters:
SET VARIABLE run = 'demo';               -- VARCHAR: the run
SET VARIABLE round = 1;                  -- INTEGER: its round
SET VARIABLE judge = 'judge';            -- VARCHAR: name of the judge
SET VARIABLE judged_by = 'judge_order';  -- VARCHAR: check of the single judgements
SET VARIABLE inconsistent = 'tie';       -- VARCHAR in {tie, abstain, mean}: what contradicting orders are

WITH orders AS (
    SELECT
        sample_id AS a,
        json_extract_string(detail, '$.others[0]') AS b,
        version,
        avg(CASE label WHEN 'A' THEN 1.0 WHEN 'B' THEN 0.0 WHEN 'tie' THEN 0.5 END) AS p,
        count(*) AS num,
        count(*) FILTER (status = 'error') AS errors
    FROM scores
    WHERE run = getvariable('run') AND round = getvariable('round')
      AND "check" = getvariable('judged_by')
    GROUP BY a, b, version
),
met AS (
    SELECT
        x.a AS sample_id,
        x.b AS other,
        x.version,
        x.p AS first,
        1 - y.p AS second,
        x.errors = x.num OR coalesce(y.errors = y.num, false) AS is_error
    FROM orders AS x
    LEFT JOIN orders AS y ON y.a = x.b AND y.b = x.a AND y.version = x.version
),
decided AS (
    SELECT
        *,
        CASE
            WHEN is_error OR first IS NULL OR second IS NULL THEN NULL
            WHEN sign(first - 0.5) <> sign(second - 0.5) THEN 'inconsistent'
            WHEN first > 0.5 THEN 'win'
            WHEN first < 0.5 THEN 'loss'
            ELSE 'tie'
        END AS label
    FROM met
),
valued AS (
    SELECT
        *,
        CASE
            WHEN label = 'inconsistent' AND getvariable('inconsistent') = 'tie' THEN 0.5
            WHEN label IN ('win', 'loss', 'tie') OR getvariable('inconsistent') = 'mean'
                THEN (first + second) / 2
        END AS value
    FROM decided
),
results AS (
    SELECT
        sample_id,
        getvariable('judge') AS "check",
        version,
        other,
        value,
        label,
        CASE WHEN label IS NULL
            THEN json_object('other', other, 'first', first, 'second', second,
                             'failure', 'order_missing')
            ELSE json_object('other', other, 'first', first, 'second', second)
        END AS detail,
        is_error
    FROM valued
    UNION ALL
    SELECT
        sample_id,
        getvariable('judge') || '_win_rate',
        version,
        NULL,
        list_avg(list(value ORDER BY value) FILTER (value IS NOT NULL)),
        NULL,
        json_object('num_pairs', count(*), 'num_decided', count(value)),
        bool_and(is_error)
    FROM valued
    GROUP BY sample_id, version
)
SELECT
    'score-' || left(sha256(json_array(
        'score', getvariable('run'), getvariable('round'), sample_id, "check", version, other
    )::VARCHAR), 20) AS id,
    getvariable('run')::VARCHAR AS run,
    getvariable('round')::INTEGER AS round,
    sample_id,
    "check",
    version,
    value,
    label,
    detail::VARCHAR AS detail,
    CASE WHEN is_error THEN 'error' ELSE 'ok' END AS status,
    CASE WHEN is_error THEN 'all judgements of an order failed' END AS error
FROM results
ORDER BY "check", sample_id, other;
