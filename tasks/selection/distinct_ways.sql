-- SFT examples: right answers, one for each way in which the problem was solved (RFT, 2308.01825).
--
-- Samples of a prompt with the same label of the check went the same way; one without a label stands
-- for all others without. Of each way that sample is kept whose text differs most from the other
-- ways': by the sum of edit distances to one text of each, over their first max_characters. A value
-- below 1 says that the way is not valid. Solutions of the environment (policy 'labelled') are all
-- kept, and are no way.
-- Reasons: no_reference, wrong_answer, no_score, false_equation, same_way; see pick_examples.sql for
-- the rest.
--
-- Reads candidates, samples, scores. Writes the temporary table `judged`.
-- Table: examples
-- References: yes
-- After: candidates.sql
-- Before: pick_examples.sql
-- Columns: sample, weight, reason
-- Parameters:
SET VARIABLE check_name = 'way';      -- VARCHAR: the check whose labels are ways
SET VARIABLE max_characters = 1000;   -- INTEGER in [1, inf]: how much of a text is compared
SET VARIABLE max_per_prompt = 2147483647;  -- INTEGER in [1, inf]: most examples of one prompt

CREATE OR REPLACE TEMP TABLE judged AS
WITH ways AS (
    SELECT hash(sample_id) AS sample, coalesce(min(label), '') AS way, min(value) AS holds
    FROM scores
    WHERE run = getvariable('run') AND round = getvariable('round')
      AND "check" = getvariable('check_name') AND status = 'ok'
    GROUP BY sample_id
),
authors AS (
    SELECT
        hash(id) AS sample,
        policy_id = 'labelled' AS is_given,
        left(text, getvariable('max_characters')) AS text
    FROM samples
    WHERE run = getvariable('run') AND round = getvariable('round')
),
graded AS (
    SELECT
        c.sample,
        c.prompt,
        c.text_key,
        pick(c.sample_id) AS pick,
        a.is_given,
        a.text,
        w.way,
        CASE
            WHEN c.reason IS NOT NULL THEN c.reason
            WHEN c.reference IS NULL THEN 'no_reference'
            WHEN c.reference < 1 THEN 'wrong_answer'
            WHEN a.is_given THEN NULL
            WHEN w.sample IS NULL THEN 'no_score'
            WHEN w.holds < 1 THEN 'false_equation'
        END AS reason
    FROM candidates AS c
    JOIN authors AS a ON a.sample = c.sample
    LEFT JOIN ways AS w ON w.sample = c.sample
),
texts AS (
    SELECT prompt, way, text_key, min(pick) AS pick, arg_min(text, pick) AS text
    FROM graded
    WHERE reason IS NULL AND NOT is_given
    GROUP BY prompt, way, text_key
),
firsts AS (
    SELECT prompt, way, arg_min(text, pick) AS text
    FROM texts
    GROUP BY prompt, way
),
distances AS (
    SELECT
        t.prompt,
        t.way,
        t.text_key,
        t.pick,
        coalesce(sum(levenshtein(t.text, f.text)), 0) AS distance
    FROM texts AS t
    LEFT JOIN firsts AS f ON f.prompt = t.prompt AND f.way <> t.way
    GROUP BY t.prompt, t.way, t.text_key, t.pick
),
kept AS (
    SELECT prompt, way, text_key
    FROM distances
    QUALIFY row_number() OVER (
        PARTITION BY prompt, way ORDER BY distance DESC, pick, text_key
    ) = 1
)
SELECT
    g.sample,
    1.0::DOUBLE AS weight,
    CASE
        WHEN g.reason IS NOT NULL THEN g.reason
        WHEN NOT g.is_given AND k.prompt IS NULL THEN 'same_way'
    END AS reason
FROM graded AS g
LEFT JOIN kept AS k
    ON NOT g.is_given AND k.prompt = g.prompt AND k.way = g.way AND k.text_key = g.text_key;
