passerelle clients --name "Mon logiciel" --editor 3d_ouest
