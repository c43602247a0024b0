"""What a run leaves on disk: its folder, its ledger, and how both are found again."""
