-- Step of a selection of pairs: which chosen sample of a prompt meets which rejected one.
--
-- Both lists are in the order of `pick`. Pair i takes chosen[i mod c] and rejected[(i + i div L)
-- mod r] with L = lcm(c, r): Iterative RPO's cycling of both lists, shifted by one whenever it
-- would repeat itself, so that no pair comes twice. There are at most max_pairs of them.
-- A pair has the weight and the soft label (1 where `judged` has no such column) of its chosen
-- sample, and its margin. Where `judged` has a column win_rate, the pair has both, its margin is
-- their difference, and with soft_labels its soft label is sigmoid(margin): the policy's own
-- samples are the opponents, as in DNO (arXiv 2404.03715, algorithm 1).
-- Reasons added here: contradictory_text (the same text was judged both ways, as a program with
-- random output can be), duplicate_text, no_counterpart, over_prompt_cap (in no pair).
--
-- Reads judged (sample, side, weight, margin, reason; soft_label, win_rate), candidates. Writes the
-- temporary tables `matches` (chosen, rejected, weight, margin, soft_label, win rates) and `decisions`
-- (sample, reason: null for a sample that is used).
-- Before: pair_rows.sql
-- Needs: sample, side, weight, margin, reason
-- Parameters, besides run and round (candidates.sql) and max_pairs (the selection):
SET VARIABLE soft_labels = FALSE;  -- BOOLEAN: whether win rates make the soft label

ALTER TABLE judged ADD COLUMN IF NOT EXISTS soft_label DOUBLE;
ALTER TABLE judged ADD COLUMN IF NOT EXISTS win_rate DOUBLE;

CREATE OR REPLACE TEMP TABLE sides AS
WITH usable AS (
    SELECT
        c.sample,
        c.prompt,
        c.text_key,
        j.side,
        j.weight,
        j.margin,
        j.soft_label,
        j.win_rate,
        pick(c.sample_id) AS pick
    FROM candidates AS c
    JOIN judged AS j ON j.sample = c.sample
    WHERE j.reason IS NULL
),
copies AS (
    SELECT
        *,
        min(side) OVER (PARTITION BY prompt, text_key)
            <> max(side) OVER (PARTITION BY prompt, text_key) AS is_both,
        row_number() OVER (PARTITION BY prompt, text_key ORDER BY pick, sample) AS copy
    FROM usable
),
named AS (
    SELECT
        * EXCLUDE (is_both, copy),
        CASE
            WHEN is_both THEN 'contradictory_text'
            WHEN copy > 1 THEN 'duplicate_text'
        END AS reason
    FROM copies
)
SELECT
    sample,
    prompt,
    side,
    weight,
    margin,
    soft_label,
    win_rate,
    reason,
    row_number() OVER (
        PARTITION BY prompt, side, reason IS NULL ORDER BY pick, sample
    ) - 1 AS place
FROM named;

CREATE OR REPLACE TEMP TABLE matches AS
WITH sizes AS (
    SELECT
        prompt,
        count(*) FILTER (side = 'chosen') AS num_chosen,
        count(*) FILTER (side = 'rejected') AS num_rejected
    FROM sides
    WHERE reason IS NULL
    GROUP BY prompt
    HAVING num_chosen > 0 AND num_rejected > 0
),
turns AS (
    SELECT
        *,
        unnest(range(least(getvariable('max_pairs'), num_chosen * num_rejected))) AS i
    FROM sizes
),
cells AS (
    SELECT
        prompt,
        i % num_chosen AS chosen_place,
        (i + i // lcm(num_chosen, num_rejected)) % num_rejected AS rejected_place
    FROM turns
)
SELECT
    t.prompt,
    c.sample AS chosen,
    r.sample AS rejected,
    c.weight,
    coalesce(c.win_rate - r.win_rate, c.margin) AS margin,
    CASE
        WHEN getvariable('soft_labels') AND c.win_rate IS NOT NULL AND r.win_rate IS NOT NULL
            THEN 1 / (1 + exp(r.win_rate - c.win_rate))
        ELSE coalesce(c.soft_label, 1.0)
    END AS soft_label,
    c.win_rate AS chosen_win_rate,
    r.win_rate AS rejected_win_rate
FROM cells AS t
JOIN sides AS c
    ON c.prompt = t.prompt AND c.place = t.chosen_place
    AND c.side = 'chosen' AND c.reason IS NULL
JOIN sides AS r
    ON r.prompt = t.prompt AND r.place = t.rejected_place
    AND r.side = 'rejected' AND r.reason IS NULL;

CREATE OR REPLACE TEMP TABLE decisions AS
WITH used AS (
    SELECT chosen AS sample FROM matches
    UNION
    SELECT rejected AS sample FROM matches
),
sided AS (
    SELECT
        s.sample,
        CASE
            WHEN s.reason IS NOT NULL THEN s.reason
            WHEN s.prompt NOT IN (SELECT prompt FROM matches) THEN 'no_counterpart'
            WHEN u.sample IS NULL THEN 'over_prompt_cap'
        END AS reason
    FROM sides AS s
    LEFT JOIN used AS u ON u.sample = s.sample
)
SELECT j.sample, coalesce(j.reason, s.reason) AS reason
FROM judged AS j
LEFT JOIN sided AS s ON s.sample = j.sample;
