package station

import (
	"station/internal/flow/flowtest"
	"station/internal/hsm"
)

func tokenKeys(token *hsm.Token) flowtest.Keys { return Keys{Token: token} }
