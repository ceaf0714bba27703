"""What a person should know about a rule set: verdicts on rules, findings, answers, differences, who reaches what."""
