"""What several methods share: groups, removal, penalties, paths of lambda."""
