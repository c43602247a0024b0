"""What a recorded run looks like to a person: one HTML file, Markdown, JUnit, plots. Calls no model."""
