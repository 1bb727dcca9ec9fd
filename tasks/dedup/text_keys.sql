-- Keys of texts: equal for texts that count as the same.
--
-- Exact: the text itself without the white space around it. Normalised: also without case, accents
-- written in another way, punctuation and runs of white space. An empty text has no key.
--
-- Reads pool, samples. Fills the temporary table `keys`.
-- Parameters:
SET VARIABLE method = 'exact';  -- VARCHAR in {exact, normalised}: what counts as the same

INSERT INTO keys
WITH texts AS (
    SELECT
        s.id AS sample_id,
        CASE getvariable('method')
            WHEN 'exact' THEN regexp_replace(s.text, '^\s+|\s+$', '', 'g')
            ELSE trim(regexp_replace(lower(nfc_normalize(s.text)), '[\s\p{P}\p{Z}]+', ' ', 'g'))
        END AS text
    FROM samples AS s
    WHERE s.run = getvariable('run') AND s.round = getvariable('round')
      AND s.id IN (SELECT sample_id FROM pool)
)
SELECT sample_id, md5(text) FROM texts WHERE text <> '';
