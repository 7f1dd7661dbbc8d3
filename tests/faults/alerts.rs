//! Whether an alert of `deploy/alerts.yml` is about a metric: a sign that no rule looks at tells nobody.

/// The rules that ship.
const RULES: &str = include_str!("../../deploy/alerts.yml");

/// `Ok` where there is an alert of this name with this metric in its expression.
pub(crate) fn covers(alert: &str, metric: &str) -> Result<(), String> {
    covered_by(RULES, alert, metric)
}

fn covered_by(rules: &str, alert: &str, metric: &str) -> Result<(), String> {
    let named = |rule: &&str| rule.lines().next().is_some_and(|name| name.trim() == alert);
    let rule = rules.split("- alert:").skip(1).find(named);
    let rule = rule.ok_or_else(|| format!("deploy/alerts.yml has no alert {alert}"))?;
    let expression = rule.split("labels:").next().unwrap_or_default();
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    if expression.split(|character| !is_part(character)).any(|word| word == metric) {
        Ok(())
    } else {
        Err(format!("the alert {alert} is not about {metric}: {expression}"))
    }
}

/// Fails where this check could not fail.
pub(crate) fn controls() {
    let rules = "- alert: A\n  expr: penstock_x_total > 0\n  labels: {}\n- alert: B\n  expr: penstock_y\n";
    assert_eq!(covered_by(rules, "A", "penstock_x_total"), Ok(()));
    for (alert, metric) in [("A", "penstock_x"), ("A", "penstock_y"), ("C", "penstock_y")] {
        assert!(covered_by(rules, alert, metric).is_err(), "{alert} {metric}");
    }
}
